"""The two sides of `bench/eventstore.py`: the same load on our store and on the `eventsourcing` library.

Run as a program it is some callers in a process of their own: it says `ready`, starts at a line on its
standard input, and answers with what it measured, as JSON.
"""

# ruff: noqa: E402
# Python puts this file's folder first on its path, where eventstore.py is the benchmark, not the package.
from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

sys.path[0] = str(Path(__file__).resolve().parents[1])

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict

from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, NewEvent, StreamAppend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.persistence import ApplicationRecorder

    from eventstore.types import Appended

PAYLOAD: Final = bytes(range(200))
TENANT: Final = UUID(int=1)
OURS: Final = "ours"
PEER: Final = "peer"


@dataclass(frozen=True, slots=True)
class Measured:
    """What some callers did in some seconds: a latency in milliseconds per append of `events` events."""

    seconds: float
    latencies_ms: Sequence[float]
    events: int = 1
    cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Appends per second."""
        return len(self.latencies_ms) / self.seconds

    @property
    def events_count(self) -> int:
        """Events appended."""
        return len(self.latencies_ms) * self.events

    @property
    def events_per_second(self) -> float:
        """Events per second."""
        return self.events_count / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the appends stayed within."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


async def prepare_ours(url: str) -> None:
    """Migrate our database."""
    await migrate(url)


def prepare_peer(url: str, *, lossy: bool = False) -> None:
    """Make the peer's tables."""
    factory = peer_factory(url, 1, create_table=True, lossy=lossy)
    factory.process_recorder()
    factory.close()


async def measure_ours(
    url: str, callers: int, seconds: float, start: Start | None = None, *, events: int = 1
) -> Measured:
    """Append from so many coroutines for so many seconds."""
    async with PostgresEventStore.open(url) as store:
        await append_ours(store)
        if start is not None:
            await asyncio.to_thread(start)
        used, began = time.process_time(), time.perf_counter()
        counts = await asyncio.gather(*(_call_ours(store, began + seconds, events) for _ in range(callers)))
        took = time.perf_counter() - began
        latencies = [each for one in counts for each in one]
        return Measured(took, latencies, events, time.process_time() - used)


async def measure_peer(
    url: str,
    callers: int,
    seconds: float,
    start: Start | None = None,
    *,
    events: int = 1,
    lossy: bool = False,
) -> Measured:
    """Append from so many threads for so many seconds; `lossy` is the peer's faster mode."""
    factory = peer_factory(url, callers, lossy=lossy)
    return await asyncio.to_thread(_measure_peer, factory, callers, seconds, start, events)


async def _call_ours(store: PostgresEventStore, until: float, events: int) -> list[float]:
    latencies: list[float] = []
    while (began := time.perf_counter()) < until:
        await append_ours(store, events)
        latencies.append((time.perf_counter() - began) * 1_000)
    return latencies


async def append_ours(store: PostgresEventStore, events: int = 1) -> Appended:
    """Append to a new stream."""
    made = [NewEvent("bench.v1.Happened", PAYLOAD) for _ in range(events)]
    return await store.append(StreamAppend(uuid4(), "bench", TENANT, made, NO_STREAM))


def _measure_peer(
    factory: PostgresFactory, callers: int, seconds: float, start: Start | None, events: int
) -> Measured:
    recorder = factory.application_recorder()
    append_peer(recorder)
    if start is not None:
        start()
    used, began = time.process_time(), time.perf_counter()
    latencies: list[float] = []
    threads = [
        threading.Thread(target=_call_peer, args=(recorder, began + seconds, events, latencies))
        for _ in range(callers)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    measured = Measured(time.perf_counter() - began, latencies, events, time.process_time() - used)
    factory.close()
    return measured


def _call_peer(recorder: ApplicationRecorder, until: float, events: int, latencies: list[float]) -> None:
    while (began := time.perf_counter()) < until:
        append_peer(recorder, events)
        latencies.append((time.perf_counter() - began) * 1_000)


def append_peer(recorder: ApplicationRecorder, events: int = 1) -> Sequence[int] | None:
    """Append to a new stream; gives the positions."""
    stream_id = uuid4()
    return recorder.insert_events(
        [StoredEvent(stream_id, version, "bench.v1:Happened", PAYLOAD) for version in range(1, events + 1)]
    )


def peer_factory(
    url: str, connections: int, *, create_table: bool = False, lossy: bool = False
) -> PostgresFactory:
    """Return the peer's entry to a database, in its default or in its faster mode."""
    where = conninfo_to_dict(url)
    return PostgresFactory(
        Environment(
            "bench",
            {
                "POSTGRES_DBNAME": str(where["dbname"]),
                "POSTGRES_HOST": str(where.get("host", "")),
                "POSTGRES_PORT": str(where.get("port", "5432")),
                "POSTGRES_USER": str(where.get("user", "")),
                "POSTGRES_PASSWORD": str(where.get("password", "")),
                "POSTGRES_POOL_SIZE": str(connections),
                "POSTGRES_MAX_OVERFLOW": "0",
                "POSTGRES_MAX_WAITING": str(connections),
                "POSTGRES_LOCK_TIMEOUT": "60",
                # Sixteen processes that make the same table at once fail.
                "CREATE_TABLE": "y" if create_table else "n",
                "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if lossy else "n",
            },
        )
    )


class Start:
    """Says that the process is ready, and waits for the word to begin."""

    def __call__(self) -> None:
        """Wait."""
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()


async def _alone(side: str, url: str, seconds: float, callers: int, events: int) -> None:
    measure = measure_ours if side == OURS else measure_peer
    measured = await measure(url, callers, seconds, Start(), events=events)
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


if __name__ == "__main__":
    of_side, of_url, of_seconds, of_callers, of_events = sys.argv[1:]
    asyncio.run(_alone(of_side, of_url, float(of_seconds), int(of_callers), int(of_events)))
