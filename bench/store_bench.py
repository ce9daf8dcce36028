"""What every section of the store's benchmark is given: one Postgres, a database per side, and the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent

from bench.eventstore_sides import OURS, PAYLOAD, TENANT, peer_factory, prepare_ours, prepare_peer
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, NewEvent, StreamAppend

if TYPE_CHECKING:
    from stack.postgres import EmbeddedPostgres

#: Logs that are read hold streams of ten events, appended fifty streams at a time.
STREAMS_PER_REQUEST = 50
EVENTS_PER_STREAM = 10


@dataclass(frozen=True, slots=True)
class Bench:
    """One round: the cluster, seconds per measurement, and events in the logs that are read."""

    postgres: EmbeddedPostgres
    seconds: float
    events: int

    async def fresh(self, side: str) -> str:
        """Return the URL of an empty database of one side: each measurement has its own."""
        url = await self.postgres.create_database(f"{side}_{uuid4().hex[:8]}")
        if side == OURS:
            await prepare_ours(url)
        else:
            prepare_peer(url)
        return url

    async def filled(self, side: str) -> str:
        """Return the URL of a database with `events` events of one side, cleaned up after."""
        url = await self.fresh(side)
        requests = self.events // (STREAMS_PER_REQUEST * EVENTS_PER_STREAM)
        if side == OURS:
            await _fill_ours(url, requests)
        else:
            _fill_peer(url, requests)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("vacuum analyze")
            await connection.execute("checkpoint")
        return url


async def _fill_ours(url: str, requests: int) -> None:
    async with PostgresEventStore.open(url) as store:
        for _ in range(requests):
            await store.append(*(stream() for _ in range(STREAMS_PER_REQUEST)))


def stream() -> StreamAppend:
    """Return the append of a new stream."""
    events = [NewEvent("bench.v1.Happened", PAYLOAD) for _ in range(EVENTS_PER_STREAM)]
    return StreamAppend(uuid4(), "bench", TENANT, events, NO_STREAM)


def _fill_peer(url: str, requests: int) -> None:
    factory = peer_factory(url, 1)
    recorder = factory.application_recorder()
    for _ in range(requests):
        recorder.insert_events(
            [
                StoredEvent(stream_id, version, "bench.v1:Happened", PAYLOAD)
                for stream_id in (uuid4() for _ in range(STREAMS_PER_REQUEST))
                for version in range(1, EVENTS_PER_STREAM + 1)
            ]
        )
    factory.close()
