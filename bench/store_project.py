"""Projecting: rows and checkpoint in one transaction; and building the same read model again beside it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID

import psycopg
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder

from bench.eventstore_sides import OURS, PEER, peer_factory
from bench.figures import Figure
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.read_model import ReadModel
from eventstore.rebuild.rebuild import rebuild
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg import AsyncConnection

    from bench.store_bench import Bench
    from eventstore.types import Filter, StoredEvent

PAGE: Final = 1_000
SCHEMA: Final = """
create schema bench;
create table bench.seen (stream_id uuid primary key, events integer not null);
"""
_COUNT: Final[LiteralString] = (
    "insert into seen select * from unnest(%b::uuid[], %b::int4[])"
    " on conflict (stream_id) do update set events = seen.events + excluded.events"
)
_COUNT_ONE: Final = (
    "insert into bench.seen values (%s, 1) on conflict (stream_id) do update set events = seen.events + 1"
)


@dataclass
class Seen:
    """The read model: how many events each stream has."""

    name: str = "seen"
    version: int = 1
    lanes: Sequence[int] = (LEDGER_LANE,)
    only: Filter = EVERYTHING
    schema: str = "bench"
    tables: Sequence[str] = ("seen",)

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent], /) -> None:
        """Count a page."""
        counts = Counter(each.stream_id for each in page)
        await connection.execute(_COUNT, [list(counts), list(counts.values())])

    async def reset(self, connection: AsyncConnection[Any], /) -> None:
        """Forget all counts."""
        await connection.execute("truncate seen")

    def bulk_fold(self) -> SeenFold:
        """Return an empty fold."""
        return SeenFold()


class SeenFold:
    """The read model in memory."""

    def __init__(self) -> None:
        self._counts = Counter[UUID]()

    def fold(self, page: Sequence[StoredEvent]) -> None:
        """Count a page."""
        self._counts.update(each.stream_id for each in page)

    def rows(self) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[object]]]]:
        """Return what was counted."""
        return {"seen": (("stream_id", "events"), self._counts.items())}


class PeerSeen(PostgresTrackingRecorder):
    """The same read model, the peer's way: each event with its tracking record, in one transaction."""

    def count(self, stream_id: UUID, position: int) -> None:
        """Count an event."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, Tracking("bench", position))
            cursor.execute(_COUNT_ONE, (stream_id,))


async def project(bench: Bench) -> Sequence[Figure]:
    """Measure both sides, and the rebuild, which the peer does not have."""
    url = await bench.filled(OURS)
    await _make_tables(url)
    rate = await _project_ours(url)
    peer_url = await bench.filled(PEER)
    await _make_tables(peer_url)
    peer = await asyncio.to_thread(_project_peer, peer_url, bench.seconds)
    return [
        Figure("projection, checkpoint in its transaction", "events/s", rate, peer),
        Figure("rebuild", "events/s", await _rebuild(url)),
    ]


async def _make_tables(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(SCHEMA)


async def _project_ours(url: str) -> float:
    async with PostgresEventStore.open(url) as store:
        head = await store.head()
        projector = Projector(store, url, Seen(), page_max=PAGE)
        began = time.perf_counter()
        async with projector.running():
            await projector.wait_until(head)
            return head.number / (time.perf_counter() - began)


async def _rebuild(url: str) -> float:
    async with PostgresEventStore.open(url) as store:
        head = await store.head()
        began = time.perf_counter()
        await rebuild(ReadModel(store, url, Seen(version=2)))
        return head.number / (time.perf_counter() - began)


def _project_peer(url: str, seconds: float) -> float:
    factory = peer_factory(url, 1, create_table=True)
    recorder, seen = factory.application_recorder(), factory.tracking_recorder(PeerSeen)
    began, count = time.perf_counter(), 0
    while page := recorder.select_notifications(count, PAGE, inclusive_of_start=False):
        for each in page:
            if time.perf_counter() > began + seconds:
                factory.close()
                return count / seconds
            seen.count(UUID(str(each.originator_id)), each.id)
            count = each.id
    factory.close()
    return count / (time.perf_counter() - began)
