"""Projectors that are killed or frozen at any moment: every event is counted once, whoever counts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest_asyncio

from eventstore.postgres import PostgresEventStore
from eventstore.projection import ProjectionProgress
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytest_plugins = ["tests.fix_postgres"]

PROGRAM: Final = Path(__file__).with_name("eventstore_projecting.py")
ROOT: Final = Path(__file__).resolve().parents[2]
LEASE_SECONDS: Final = 0.5


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    """Give a database with the counts' table."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("create table counts (position bigint primary key, count int not null)")
    return database_url


@asynccontextmanager
async def projecting(url: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a projector in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        url,
        str(LEASE_SECONDS),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def applied(process: asyncio.subprocess.Process, pages: int = 1) -> None:
    """Return when the process is in the middle of a page, for the n-th time."""
    assert process.stdout is not None
    for _ in range(pages):
        assert await process.stdout.readline()


async def assert_counted_once(url: str, events_count: int) -> None:
    """Look at the rows when the checkpoint is at the head."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select position, count from counts order by 1")
        assert await cursor.fetchall() == [(number, 1) for number in range(1, events_count + 1)]


async def test_a_projector_killed_in_the_middle_of_pages_counts_once(url: str) -> None:
    progress = ProjectionProgress(url, "counts", 1)
    async with asyncio.timeout(60), PostgresEventStore.open(url) as store:
        head = (await store.append(append_to(count=60))).position
        for pages in (1, 3, 2):
            async with projecting(url) as process:
                await applied(process, pages)
        async with projecting(url):
            await progress.wait_until(head)
    await progress.close()

    await assert_counted_once(url, 60)


async def test_a_frozen_projector_is_replaced_and_cannot_come_back(url: str) -> None:
    progress = ProjectionProgress(url, "counts", 1)
    async with asyncio.timeout(60), PostgresEventStore.open(url) as store:
        head = (await store.append(append_to(count=90))).position
        async with projecting(url) as frozen:
            await applied(frozen, 2)
            os.kill(frozen.pid, signal.SIGSTOP)
            async with projecting(url):
                await progress.wait_until(head)
                os.kill(frozen.pid, signal.SIGCONT)
                head = (await store.append(append_to(count=30))).position
                await progress.wait_until(head)
    await progress.close()

    await assert_counted_once(url, 120)
