"""Importing by COPY: a history from elsewhere, chained and numbered like what was appended here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.eventstore_sides import OURS
from bench.figures import Figure
from bench.store_bench import EVENTS_PER_STREAM, stream
from bench.store_costs import costs
from eventstore.appending.import_events import import_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench.store_bench import Bench
    from eventstore.types import StreamAppend


async def imports(bench: Bench) -> Sequence[Figure]:
    """Measure it; the peer's library has no import."""
    url = await bench.fresh(OURS)
    made = [stream() for _ in range(bench.events // EVENTS_PER_STREAM)]

    async def history() -> AsyncIterator[StreamAppend]:
        for each in made:
            yield each

    before, began = await costs(bench.postgres), time.perf_counter()
    imported = await import_events(url, history())
    took = time.perf_counter() - began
    used = (await costs(bench.postgres)).since(before)
    events = imported.events_count
    return [
        Figure("import by COPY", "events/s", events / took),
        Figure("import by COPY, CPU of the database", "us/event", used.cpu_seconds / events * 1e6),
        Figure("import by COPY, WAL", "B/event", used.wal_bytes / events),
    ]
