"""Projectors that are killed or frozen at any moment: every event is counted once, whoever counts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import psycopg
import pytest_asyncio

from eventstore.following.projection import ProjectionProgress
from eventstore.postgres import PostgresEventStore
from tests.fix_counting import select, until
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.types import Position

pytest_plugins = ["tests.fix_postgres"]

PROGRAM: Final = Path(__file__).with_name("eventstore_projecting.py")
ROOT: Final = Path(__file__).resolve().parents[2]
LEASE_SECONDS: Final = 0.5


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    """Give a database with the counts' table."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "create table counts"
            " (position bigint primary key, stream_id uuid, count int not null, turn bigserial)"
        )
    return database_url


@asynccontextmanager
async def projecting(
    url: str, lease_seconds: float = LEASE_SECONDS, partitions: int = 1
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a projector in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        url,
        str(lease_seconds),
        str(partitions),
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
    """Look at the rows when the checkpoint is at the head; each stream came in its order."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "select position from (select position, lag(position) over (partition by stream_id order by turn)"
            " as before from counts) as applied where before > position"
        )
        assert await cursor.fetchall() == []
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


async def test_a_killed_projectors_lease_is_taken_without_waiting_for_its_end(url: str) -> None:
    progress = ProjectionProgress(url, "counts", 1)
    hour = 3_600
    async with asyncio.timeout(60), PostgresEventStore.open(url) as store:
        await store.append(append_to(count=9))
        async with projecting(url, hour) as killed:
            await applied(killed, 2)
            async with projecting(url, hour):
                await until(url, "select count(*) = 2 from es.projection_member")
                killed.kill()
                head = (await store.append(append_to(count=9))).position
                await progress.wait_until(head)
    await progress.close()

    await assert_counted_once(url, 18)


async def test_partitions_move_on_whoever_of_a_group_is_killed_or_frozen(url: str) -> None:
    progress = ProjectionProgress(url, "counts", 1)
    stream_ids = [uuid4() for _ in range(24)]
    async with asyncio.timeout(120), PostgresEventStore.open(url) as store, AsyncExitStack() as stack:

        async def _append() -> Position:
            for each in stream_ids:
                await store.append(append_to(each, 2))
            return await store.head()

        group = [await stack.enter_async_context(projecting(url, 1.0, partitions=8)) for _ in range(3)]
        await _append()
        await until(url, "select count(distinct holder) = 3 from es.projection")
        os.kill(group[0].pid, signal.SIGSTOP)
        await _append()
        await until(
            url, "select count(distinct holder) = 2 and bool_and(holder is not null) from es.projection"
        )
        group[1].kill()
        await progress.wait_until(await _append())
        os.kill(group[0].pid, signal.SIGCONT)
        await until(
            url, "select min(n) = 4 from (select count(*) as n from es.projection group by holder) as held"
        )
        await progress.wait_until(await _append())
    await progress.close()

    assert await select(url, "select count(*) from es.projection") == [(8,)]
    await assert_counted_once(url, 24 * 2 * 4)


async def test_a_listener_that_is_cut_off_costs_a_poll_and_no_event(url: str) -> None:
    progress = ProjectionProgress(url, "counts", 1)
    async with asyncio.timeout(60), PostgresEventStore.open(url) as store, projecting(url):
        await progress.wait_until((await store.append(append_to())).position)
        for _ in range(5):
            # The announcements still come; nobody hears them until the listener is back.
            await until(
                url,
                "select count(pg_terminate_backend(pid)) > 0 from pg_stat_activity"
                " where datname = current_database() and application_name = 'eventstore listen'",
            )
            await progress.wait_until((await store.append(append_to(count=5))).position, 5)
    await progress.close()

    await assert_counted_once(url, 26)
