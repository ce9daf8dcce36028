"""How long after the call of append a subscriber has the event: over connections of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from bench.eventstore_sides import OURS, PAYLOAD, PEER, TENANT, Measured, peer_factory
from bench.figures import Figure
from eventstore.following.subscription import Subscription
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, NO_STREAM, NewEvent, StreamAppend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.store_bench import Bench

APPENDS_PER_SECOND: Final = 200


async def latency(bench: Bench) -> Sequence[Figure]:
    """Measure both sides at two hundred appends a second."""
    ours = await _ours(await bench.fresh(OURS), bench.seconds)
    peer = await asyncio.to_thread(_peer, await bench.fresh(PEER), bench.seconds)
    return [
        Figure(
            f"append to subscriber, {name}",
            "ms",
            ours.percentile(share),
            peer.percentile(share),
            more_is_better=False,
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _ours(url: str, seconds: float) -> Measured:
    began: dict[UUID, float] = {}
    took: list[float] = []
    async with PostgresEventStore.open(url) as writing, PostgresEventStore.open(url) as reading:
        await reading.wait_for_news(await reading.head(), 1.0)  # it listens from here on
        appends = int(seconds * APPENDS_PER_SECOND)
        following = asyncio.create_task(_follow(reading, began, took, appends))
        for _ in range(appends):
            event = NewEvent("bench.v1.Happened", PAYLOAD)
            began[event.event_id] = time.perf_counter()
            await writing.append(StreamAppend(uuid4(), "bench", TENANT, [event], NO_STREAM))
            await asyncio.sleep(
                max(0.0, 1 / APPENDS_PER_SECOND - time.perf_counter() + began[event.event_id])
            )
        await following
    return Measured(seconds, took)


async def _follow(
    store: PostgresEventStore, began: dict[UUID, float], took: list[float], wanted: int
) -> None:
    subscription = Subscription(store, [LEDGER_LANE])
    while len(took) < wanted:
        page = await subscription.next_page()
        if page is None:
            await subscription.wait_for_news(1.0)
            continue
        now = time.perf_counter()
        took.extend((now - began[each.event_id]) * 1_000 for each in page.events)
        subscription.move(page)


def _peer(url: str, seconds: float) -> Measured:
    factory = peer_factory(url, 4)
    recorder = factory.application_recorder()
    began: dict[UUID, float] = {}
    took: list[float] = []
    appends = int(seconds * APPENDS_PER_SECOND)
    with recorder.subscribe(gt=0) as subscription:

        def follow() -> None:
            for each in subscription:
                took.append((time.perf_counter() - began[UUID(str(each.originator_id))]) * 1_000)
                if len(took) == appends:
                    return

        following = threading.Thread(target=follow)
        following.start()
        ticks = threading.Event()
        for _ in range(appends):
            stream_id = uuid4()
            began[stream_id] = time.perf_counter()
            recorder.insert_events([StoredEvent(stream_id, 1, "bench.v1:Happened", PAYLOAD)])
            ticks.wait(max(0.0, 1 / APPENDS_PER_SECOND - time.perf_counter() + began[stream_id]))
        following.join()
    factory.close()
    return Measured(seconds, took)
