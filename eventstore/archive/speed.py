"""Measures how fast events are read: those in the database, and those in the archive."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstore.types import LEDGER_LANE, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.store import EventStore

_EVENTS_PER_READ: Final = 1_000
_ARCHIVED: Final = frozenset({"detached", "archived"})


@dataclass(frozen=True, slots=True)
class ReadSpeed:
    """The hot events of the ledger, or the archived ones: how many, how big, and how fast some were read."""

    events_are: str
    partitions: int
    events: int
    bytes: int
    bytes_per_event: int
    events_read: int
    reads_per_second: int


async def measure_reads(
    store: EventStore, partitions: Sequence[PartitionInfo], events_max: int
) -> Sequence[ReadSpeed]:
    """Read up to `events_max` hot events, and as many archived ones, of the first lane.

    Errors: StoreUnavailable, EventsArchived.
    """
    ledger = [each for each in partitions if each.log == "event" and each.events]
    cold = [each for each in ledger if each.state in _ARCHIVED]
    hot = [each for each in ledger if each.state not in {*_ARCHIVED, "deleted"}]
    speeds: list[ReadSpeed] = []
    for name, some in (("hot", hot), ("archived", cold)):
        if not some:
            continue
        size_bytes = sum(each.bytes if name == "hot" else each.archive_bytes or 0 for each in some)
        events = sum(each.events for each in some)
        first, last = some[0].from_position, some[-1].to_position
        read, seconds = await _read(store, first, min(last, first + events_max - 1))
        speed = ReadSpeed(
            events_are=name,
            partitions=len(some),
            events=events,
            bytes=size_bytes,
            bytes_per_event=round(size_bytes / events),
            events_read=read,
            reads_per_second=round(read / seconds),
        )
        speeds.append(speed)
    return speeds


async def _read(store: EventStore, first: int, last: int) -> tuple[int, float]:
    after = Position(LEDGER_LANE, first - 1)
    began, read = time.perf_counter(), 0
    while after.number < last:
        page = await store.read_all(after, limit=min(_EVENTS_PER_READ, last - after.number))
        if page.scanned == after:
            break
        read += len(page.events)
        after = page.scanned
    return read, time.perf_counter() - began
