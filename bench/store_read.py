"""Reading a log from its beginning, page after page."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from bench.eventstore_sides import OURS, PEER, peer_factory
from bench.figures import Figure
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.store_bench import Bench

PAGE: Final = 1_000


async def read(bench: Bench) -> Sequence[Figure]:
    """Measure both sides on as many events."""
    ours = await _read_ours(await bench.filled(OURS))
    peer = await asyncio.to_thread(_read_peer, await bench.filled(PEER))
    return [Figure("read", "events/s", ours, peer)]


async def _read_ours(url: str) -> float:
    async with PostgresEventStore.open(url) as store:
        await store.read_all(Position(LEDGER_LANE, 0), limit=10)
        began, count, after = time.perf_counter(), 0, Position(LEDGER_LANE, 0)
        while (page := await store.read_all(after, limit=PAGE)).events:
            count, after = count + len(page.events), page.scanned
        return count / (time.perf_counter() - began)


def _read_peer(url: str) -> float:
    factory = peer_factory(url, 1)
    recorder = factory.application_recorder()
    recorder.select_notifications(0, 10)
    began, count, after = time.perf_counter(), 0, 0
    while page := recorder.select_notifications(after, PAGE, inclusive_of_start=False):
        count, after = count + len(page), page[-1].id
    rate = count / (time.perf_counter() - began)
    factory.close()
    return rate
