"""The two sides of `bench/eventstore.py`: the same load on our store and on the `eventsourcing` library.

Run as a program it is one caller in a process of its own: it says `ready`, starts at a line on its standard
input, and answers with what it measured, as JSON.
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

PAYLOAD: Final = bytes(range(200))
TENANT: Final = UUID(int=1)
OURS: Final = "ours"
PEER: Final = "peer"


@dataclass(frozen=True, slots=True)
class Measured:
    """What some callers did in some seconds; latencies in milliseconds, each append one."""

    seconds: float
    latencies_ms: Sequence[float]

    @property
    def per_second(self) -> float:
        """Appends per second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the appends stayed within."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


async def prepare_ours(url: str) -> None:
    """Migrate our database."""
    await migrate(url)


def prepare_peer(url: str) -> None:
    """Make the peer's tables."""
    factory = _factory(url, 1, create_table=True)
    factory.application_recorder()
    factory.close()


async def measure_ours(url: str, callers: int, seconds: float, start: Start | None = None) -> Measured:
    """Append from so many coroutines for so many seconds."""
    async with PostgresEventStore.open(url) as store:
        await _append_ours(store)
        if start is not None:
            await asyncio.to_thread(start)
        began = time.perf_counter()
        counts = await asyncio.gather(*(_call_ours(store, began + seconds) for _ in range(callers)))
        return Measured(time.perf_counter() - began, [each for one in counts for each in one])


async def measure_peer(url: str, callers: int, seconds: float, start: Start | None = None) -> Measured:
    """Append from so many threads for so many seconds."""
    return await asyncio.to_thread(_measure_peer, url, callers, seconds, start)


async def _call_ours(store: PostgresEventStore, until: float) -> list[float]:
    latencies: list[float] = []
    while (began := time.perf_counter()) < until:
        await _append_ours(store)
        latencies.append((time.perf_counter() - began) * 1_000)
    return latencies


async def _append_ours(store: PostgresEventStore) -> None:
    event = NewEvent("bench.v1.Happened", PAYLOAD)
    await store.append(StreamAppend(uuid4(), "bench", TENANT, [event], NO_STREAM))


def _measure_peer(url: str, callers: int, seconds: float, start: Start | None) -> Measured:
    factory = _factory(url, callers)
    recorder = factory.application_recorder()
    _append_peer(recorder)
    if start is not None:
        start()
    began = time.perf_counter()
    latencies: list[float] = []
    threads = [
        threading.Thread(target=_call_peer, args=(recorder, began + seconds, latencies))
        for _ in range(callers)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    measured = Measured(time.perf_counter() - began, latencies)
    factory.close()
    return measured


def _call_peer(recorder: ApplicationRecorder, until: float, latencies: list[float]) -> None:
    while (began := time.perf_counter()) < until:
        _append_peer(recorder)
        latencies.append((time.perf_counter() - began) * 1_000)


def _append_peer(recorder: ApplicationRecorder) -> None:
    recorder.insert_events([StoredEvent(uuid4(), 1, "bench.v1:Happened", PAYLOAD)])


def _factory(url: str, connections: int, *, create_table: bool = False) -> PostgresFactory:
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


async def _alone(side: str, url: str, seconds: float) -> None:
    measure = measure_ours if side == OURS else measure_peer
    measured = await measure(url, 1, seconds, Start())
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


if __name__ == "__main__":
    asyncio.run(_alone(sys.argv[1], sys.argv[2], float(sys.argv[3])))
