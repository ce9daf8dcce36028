"""The logs that `bench/loss.py` hunts in: how each is made, written and followed.

Run as a program it is one writer: the log's name, the database, and how many events.
"""

# ruff: noqa: E402
# Python puts this folder first on its path, where `eventstore` would be the benchmark, not the package.
from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

sys.path[0] = str(Path(__file__).resolve().parents[1])

import psycopg

from bench.eventstore_sides import PAYLOAD, append_ours, append_peer, peer_factory, prepare_ours, prepare_peer
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PAGE: Final = 500
#: Our writers are processes with a few callers each, as services are.
CALLERS: Final = 4


class Log(Protocol):
    """A log to be hunted in."""

    @property
    def name(self) -> str:
        """How the command names it."""
        ...

    @property
    def title(self) -> str:
        """What the result calls it."""
        ...

    @property
    def table(self) -> str:
        """Where its events lie."""
        ...

    @property
    def column(self) -> str:
        """What a reader goes by."""
        ...

    async def prepare(self, url: str) -> None:
        """Make its tables."""
        ...

    async def write(self, url: str, events: int) -> None:
        """Append so many events."""
        ...

    async def follow(self, url: str, done: asyncio.Future[Any]) -> Sequence[int]:
        """Follow it until the writers are done and nothing more comes; gives the positions seen."""
        ...


class Ours:
    """This project's store."""

    name = title = "ours"
    table = "es.event"
    column = "position"

    async def prepare(self, url: str) -> None:
        """Make its tables."""
        await prepare_ours(url)

    async def write(self, url: str, events: int) -> None:
        """Append so many events."""
        async with PostgresEventStore.open(url, patience_seconds=60) as store:

            async def call() -> None:
                for _ in range(events // CALLERS):
                    await append_ours(store)

            await asyncio.gather(*(call() for _ in range(CALLERS)))

    async def follow(self, url: str, done: asyncio.Future[Any]) -> Sequence[int]:
        """Follow it by pages; a hole is not looked at again, as with the others."""
        seen: list[int] = []
        after = Position(LEDGER_LANE, 0)
        async with PostgresEventStore.open(url) as store:
            while True:
                ended = done.done()
                page = await store.read_all(after, limit=PAGE)
                seen += [each.position.number for each in page.events]
                after = page.scanned
                if not page.events and ended:
                    return seen
                if not page.events:
                    await asyncio.sleep(0.001)


class Peer:
    """The `eventsourcing` library, in its default or in its faster mode."""

    table = "bench_events"
    column = "notification_id"

    def __init__(self, name: str, title: str, *, lossy: bool) -> None:
        self.name = name
        self.title = title
        self._lossy = lossy

    async def prepare(self, url: str) -> None:
        """Make its tables."""
        prepare_peer(url, lossy=self._lossy)

    async def write(self, url: str, events: int) -> None:
        """Append so many events."""
        factory = peer_factory(url, 1, lossy=self._lossy)
        recorder = factory.application_recorder()
        for _ in range(events):
            append_peer(recorder)
        factory.close()

    async def follow(self, url: str, done: asyncio.Future[Any]) -> Sequence[int]:
        """Follow it as its own subscription does: what is greater than the last one seen."""
        factory = peer_factory(url, 1, lossy=self._lossy)
        recorder = factory.application_recorder()
        seen: list[int] = []
        while True:
            ended = done.done()
            page = await asyncio.to_thread(
                recorder.select_notifications, seen[-1] if seen else 0, PAGE, inclusive_of_start=False
            )
            seen += [each.id for each in page]
            if not page and ended:
                factory.close()
                return seen
            if not page:
                await asyncio.sleep(0.001)


class Plain:
    """A table with a sequence, read by `where id > the last one seen`."""

    name = "sequence"
    title = "a table with a sequence"
    table = "plain"
    column = "id"

    async def prepare(self, url: str) -> None:
        """Make the table."""
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("create table plain (id bigserial primary key, payload bytea not null)")

    async def write(self, url: str, events: int) -> None:
        """Append so many events."""
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            for _ in range(events):
                await connection.execute("insert into plain (payload) values (%b)", [PAYLOAD])

    async def follow(self, url: str, done: asyncio.Future[Any]) -> Sequence[int]:
        """Follow it."""
        seen: list[int] = []
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while True:
                ended = done.done()
                cursor = await connection.execute(_NEXT, [seen[-1] if seen else 0, PAGE])
                page = [row[0] for row in await cursor.fetchall()]
                seen += page
                if not page and ended:
                    return seen
                if not page:
                    await asyncio.sleep(0.001)


_NEXT: Final = "select id, payload from plain where id > %s order by id limit %s"

LOGS: Final[Sequence[Log]] = (
    Ours(),
    Peer("peer", "eventsourcing, default (locks its table)", lossy=False),
    Peer("fast", "eventsourcing, database functions (faster)", lossy=True),
    Plain(),
)


if __name__ == "__main__":
    of_name, of_url, of_events = sys.argv[1:]
    asyncio.run(next(each for each in LOGS if each.name == of_name).write(of_url, int(of_events)))
