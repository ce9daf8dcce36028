"""What was acknowledged stays, once, whoever is killed or frozen while appending."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest_asyncio

from eventstore.audit.verify import verify
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import Position
from stack.postgres import EmbeddedPostgres
from tests.fix_events import append_to, read_everything
from tests.fix_postgres import nobody_appends, postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

WRITER: Final = Path(__file__).with_name("eventstore_writer.py")
ROOT: Final = Path(__file__).resolve().parents[2]


class Writer:
    """A writing process, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.tried: set[UUID] = set()
        self.acknowledged: dict[UUID, int] = {}
        self._heard = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            match line.decode().split():
                case ["trying", event_id]:
                    self.tried.add(UUID(event_id))
                case ["acknowledged", event_id, position]:
                    self.acknowledged[UUID(event_id)] = int(position)
                case _:
                    pass
            async with self._heard:
                self._heard.notify_all()

    async def reached(self, count: int) -> None:
        """Return when so many appends were acknowledged."""
        async with self._heard:
            await self._heard.wait_for(lambda: len(self.acknowledged) >= count)

    async def more(self, count: int = 20) -> None:
        """Return when so many more were."""
        await self.reached(len(self.acknowledged) + count)

    async def end(self) -> None:
        """Kill it, and hear what it said last."""
        if self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await self._listening


@asynccontextmanager
async def writing(url: str, callers: int = 4) -> AsyncGenerator[Writer]:
    """Run a writer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WRITER),
        url,
        str(callers),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    writer = Writer(process)
    try:
        yield writer
    finally:
        await writer.end()


@pytest_asyncio.fixture
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Run a durable Postgres of the test's own."""
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def url(postgres: EmbeddedPostgres) -> str:
    """Give a migrated database in it, with small partitions."""
    made = await postgres.create_database("ledger")
    await migrate(made, settings={"event_partition_size": "200", "pulse_partition_size": "200"})
    return made


async def assert_nothing_lost_or_doubled(url: str, *writers: Writer) -> None:
    """Compare the log with what the writers were told."""
    await nobody_appends(url)
    async with PostgresEventStore.open(url, patience_seconds=30) as store:
        events = await read_everything(store)
        assert (await verify(store)).defect is None
        head = await store.append(append_to())
    found = Counter(each.event_id for each in events)
    positions = {each.event_id: each.position.number for each in events}
    tried = {event_id for each in writers for event_id in each.tried}
    acknowledged = {key: value for each in writers for key, value in each.acknowledged.items()}
    assert acknowledged.items() <= positions.items()
    assert set(found) <= tried
    assert set(found.values()) == {1}
    assert [each.position.number for each in events] == list(range(1, len(events) + 1))
    assert head.position.number == len(events) + 1


async def test_nothing_acknowledged_is_lost_when_a_writer_is_killed(url: str) -> None:
    async with asyncio.timeout(60), writing(url) as survivor:
        for _ in range(3):
            async with writing(url) as victim:
                await victim.reached(15)
            await survivor.more()
            await assert_nothing_lost_or_doubled_so_far(url, victim)


async def assert_nothing_lost_or_doubled_so_far(url: str, victim: Writer) -> None:
    """Compare what the dead one was told, while others go on."""
    async with PostgresEventStore.open(url) as store:
        events = await read_everything(store)
    positions = {each.event_id: each.position.number for each in events}
    assert victim.acknowledged
    assert victim.acknowledged.items() <= positions.items()
    assert len(positions) == len(events)


async def test_nothing_acknowledged_is_lost_when_postgres_is_killed(
    postgres: EmbeddedPostgres, url: str
) -> None:
    async with asyncio.timeout(90), writing(url) as first, writing(url) as second:
        for _ in range(2):
            await asyncio.gather(first.more(), second.more())
            await postgres.kill()
            await postgres.restart()
        await asyncio.gather(first.more(), second.more())
        await asyncio.gather(first.end(), second.end())
        await assert_nothing_lost_or_doubled(url, first, second)


async def test_a_frozen_writer_blocks_nobody(url: str) -> None:
    async with asyncio.timeout(60), writing(url) as frozen, writing(url) as other:
        for _ in range(8):
            await frozen.more(3)
            os.kill(frozen.process.pid, signal.SIGSTOP)
            async with asyncio.timeout(5):
                await other.more(20)
            os.kill(frozen.process.pid, signal.SIGCONT)
        await frozen.more(5)
        await asyncio.gather(frozen.end(), other.end())
        await assert_nothing_lost_or_doubled(url, frozen, other)


async def tail(store: PostgresEventStore, goal: asyncio.Future[Position]) -> list[UUID]:
    """Read on and on until the goal is known and reached; every page must join the one before."""
    seen: list[UUID] = []
    after = Position(0, 0)
    while not (goal.done() and after.number >= goal.result().number):
        page = await store.read_all(after, limit=50)
        assert [each.position.number for each in page.events] == list(
            range(after.number + 1, after.number + 1 + len(page.events))
        )
        seen.extend(each.event_id for each in page.events)
        if page.scanned == after:
            await store.wait_for_news(after, 0.5)
        after = page.scanned
    return seen


async def test_a_tailing_reader_loses_nothing_while_postgres_is_killed(
    postgres: EmbeddedPostgres, url: str
) -> None:
    goal = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(60), PostgresEventStore.open(url, patience_seconds=30) as store:
        tailing = asyncio.create_task(tail(store, goal))
        async with writing(url) as writer:
            await writer.reached(30)
            await postgres.kill()
            await postgres.restart()
            await writer.more(30)
        await nobody_appends(url)
        head = await store.head()
        goal.set_result(head)
        seen = await tailing

    assert set(writer.acknowledged) <= set(seen) <= writer.tried
    assert len(set(seen)) == len(seen) == head.number
