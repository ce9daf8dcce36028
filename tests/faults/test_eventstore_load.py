"""A hundred thousand acknowledged events, while writers are killed and Postgres is stopped on the spot.

FAULT_EVENTS asks for another number of them; FAULT_SECONDS is how long the run may take on a slow machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
import pytest_asyncio
from eventstore_load_writer import RECORD, read_journal

from eventstore.care.examination import examine
from eventstore.following.subscription import Subscription
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Position
from stack.postgres import EmbeddedPostgres
from tests.fix_postgres import nobody_appends, postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from uuid import UUID

_log = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parents[2]
WRITER: Final = Path(__file__).with_name("eventstore_load_writer.py")
WRITERS: Final = 4
CALLERS: Final = 32
FAULTS: Final = 10
EVENTS: Final = int(os.environ.get("FAULT_EVENTS", "100000"))
SECONDS: Final = float(os.environ.get("FAULT_SECONDS", "60"))
#: A machine too slow for all of them must manage so many.
EVENTS_MIN: Final = 5_000


class Writers:
    """Some writing processes, each killed one replaced by another, and the journals of all."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        folder.mkdir()
        self._running: list[asyncio.subprocess.Process] = []
        self.killed_count = 0

    async def start(self) -> None:
        """Start one more."""
        name = str(len(self._running) + self.killed_count)
        self._running.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, str(WRITER), self._url, str(CALLERS), str(self._folder / name)),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        )

    async def kill(self) -> None:
        """Kill the oldest."""
        victim = self._running.pop(0)
        victim.kill()
        await victim.wait()
        self.killed_count += 1

    async def end(self) -> None:
        """Kill them all."""
        while self._running:
            await self.kill()

    def acknowledged_about(self) -> int:
        """Return how many events were acknowledged: about half of the records."""
        return sum(path.stat().st_size for path in self._folder.iterdir()) // RECORD.size // 2

    def journals(self) -> tuple[set[UUID], dict[UUID, int]]:
        """Return what all of them tried, and what they were told."""
        tried: set[UUID] = set()
        acknowledged: dict[UUID, int] = {}
        for path in self._folder.iterdir():
            one_tried, one_acknowledged = read_journal(path)
            tried |= one_tried
            acknowledged |= one_acknowledged
        return tried, acknowledged


@pytest_asyncio.fixture
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Run a durable Postgres of the test's own."""
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as cluster:
        yield cluster


@asynccontextmanager
async def writing(url: str, folder: Path) -> AsyncGenerator[Writers]:
    """Run writers."""
    writers = Writers(url, folder)
    try:
        for _ in range(WRITERS):
            await writers.start()
        yield writers
    finally:
        await writers.end()


async def follow(store: PostgresEventStore, seen: list[UUID]) -> None:
    """Read on and on; a hole in the log raises."""
    subscription = Subscription(store, [LEDGER_LANE], page_max=1_000)
    while True:
        page = await subscription.next_page()
        if page is None:
            await subscription.wait_for_news(0.2)
            continue
        seen.extend(each.event_id for each in page.events)
        subscription.move(page)


async def break_things(postgres: EmbeddedPostgres, writers: Writers) -> None:
    """Kill a writer, and stop Postgres on the spot, in turns, evenly over the run."""
    deadline = asyncio.get_running_loop().time() + SECONDS
    for fault in range(1, FAULTS + 1):
        while writers.acknowledged_about() < EVENTS * fault / FAULTS:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)
        await writers.kill()
        await writers.start()
        if fault % 2:
            os.kill(postgres.pid, signal.SIGQUIT)  # what pg_ctl calls `immediate`
            await postgres.wait()
            await postgres.restart()


async def stored(url: str) -> list[tuple[int, UUID]]:
    """Return every position and event id, in order."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = connection.cursor(binary=True)
        await cursor.execute("select position, event_id from es.event order by lane, position")
        return await cursor.fetchall()


@pytest.mark.timeout(280)
async def test_of_a_hundred_thousand_acknowledged_events_none_is_lost_doubled_or_out_of_place(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = await postgres.create_database("ledger")
    await migrate(url, settings={"event_partition_size": "20000"})
    seen: list[UUID] = []
    async with PostgresEventStore.open(url, patience_seconds=60) as store:
        following = asyncio.create_task(follow(store, seen))
        async with writing(url, tmp_path / "journals") as writers:
            await break_things(postgres, writers)
        await nobody_appends(url)
        head = await store.head()
        while len(seen) < head.number and not following.done():
            await store.wait_for_news(Position(LEDGER_LANE, len(seen)), 0.05)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    tried, acknowledged = writers.journals()
    _log.info("%d acknowledged, %d writers killed", len(acknowledged), writers.killed_count)
    assert len(acknowledged) >= min(EVENTS * 0.95, EVENTS_MIN), "too few to prove anything"
    rows = await stored(url)
    positions = {event_id: position for position, event_id in rows}
    assert acknowledged.items() <= positions.items(), "an acknowledged event is lost, or elsewhere"
    assert len(positions) == len(rows), "an event stands twice"
    assert [position for position, _ in rows] == list(range(1, len(rows) + 1)), "a position is missing"
    assert positions.keys() <= tried, "an event that nobody sent"
    assert seen == [event_id for _, event_id in rows], (
        "the reader missed an event, or saw two in another order"
    )
    assert [each async for each in examine(url, deep=True) if each.findings] == []
