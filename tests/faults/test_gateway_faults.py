"""What was acknowledged through the gateway stays, once, whoever is killed or frozen; nobody waits long."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest_asyncio

from eventstore.migrate import migrate
from stack.postgres import EmbeddedPostgres
from tests.fix_gateway_processes import (
    all_write,
    assert_nothing_lost_or_doubled,
    gateway_process,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest_asyncio.fixture
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Run a durable Postgres of the test's own."""
    async with EmbeddedPostgres.throwaway() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def url(postgres: EmbeddedPostgres) -> str:
    """Give a migrated database in it."""
    made = await postgres.create_database("ledger")
    await migrate(made)
    return made


async def test_nothing_is_lost_when_the_gateway_is_killed_under_eight_clients(
    url: str, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(200),
        gateway_process(url, tmp_path) as gateway,
        writing(url, *[gateway.address] * 8) as writers,
    ):
        for _ in range(3):
            await all_write(writers, 10, "gateway")
            await gateway.end(signal.SIGKILL)
            await all_write(writers, 5, "directly")
            await gateway.start()
            await all_write(writers, 10, "gateway")
        await assert_nothing_lost_or_doubled(url, writers)


async def test_nothing_is_lost_when_the_gateway_is_told_to_end(url: str, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(100),
        gateway_process(url, tmp_path) as gateway,
        writing(url, *[gateway.address] * 3) as writers,
    ):
        for _ in range(2):
            await all_write(writers, 10, "gateway")
            assert await gateway.end(signal.SIGTERM) == 0
            await all_write(writers, 5, "directly")
            await gateway.start()
        await all_write(writers, 10, "gateway")
        await assert_nothing_lost_or_doubled(url, writers)


async def test_clients_of_a_frozen_gateway_go_on_without_it(url: str, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(100),
        gateway_process(url, tmp_path) as gateway,
        writing(url, *[gateway.address] * 3) as writers,
    ):
        for _ in range(2):
            await all_write(writers, 10, "gateway")
            gateway.send(signal.SIGSTOP)
            async with asyncio.timeout(15):
                await all_write(writers, 20, "directly")
            gateway.send(signal.SIGCONT)
        await all_write(writers, 10, "gateway")
        await assert_nothing_lost_or_doubled(url, writers)


async def test_a_frozen_client_blocks_nobody(url: str, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(100),
        gateway_process(url, tmp_path) as gateway,
        writing(url, *[gateway.address] * 3) as (frozen, *others),
    ):
        for _ in range(5):
            await frozen.more(3)
            os.kill(frozen.process.pid, signal.SIGSTOP)
            async with asyncio.timeout(15):
                await all_write(others, 20, "gateway")
            os.kill(frozen.process.pid, signal.SIGCONT)
        await frozen.more(10, "gateway")
        await assert_nothing_lost_or_doubled(url, [frozen, *others])


async def test_nothing_is_lost_when_postgres_is_killed_under_the_gateway(
    postgres: EmbeddedPostgres, url: str, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(150),
        gateway_process(url, tmp_path) as gateway,
        writing(url, *[gateway.address] * 3) as writers,
    ):
        for _ in range(2):
            await all_write(writers, 10)
            await postgres.kill()
            await postgres.restart()
        await all_write(writers, 10, "gateway")
        await assert_nothing_lost_or_doubled(url, writers)


async def test_two_gateways_at_once_do_no_harm(url: str, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(100),
        gateway_process(url, tmp_path) as one,
        gateway_process(url, tmp_path) as two,
        writing(url, one.address, two.address, one.address, two.address) as writers,
    ):
        await all_write(writers, 30, "gateway")
        await one.end(signal.SIGKILL)
        await all_write(writers, 20)
        await assert_nothing_lost_or_doubled(url, writers)
