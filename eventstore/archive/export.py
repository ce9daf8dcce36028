"""Writes one partition's files, verified event by event on the way, and reads what was stored back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstore.archive.archived import EVENTS, STREAMS, ArchivedObject, EventSpan
from eventstore.archive.arrow import FORMAT_VERSION
from eventstore.archive.chain_check import ChainCheck
from eventstore.archive.cold_file import ColdFile
from eventstore.archive.parquet_reader import EventPart, PlacePart
from eventstore.archive.parquet_writer import (
    EVENTS_PER_PART_MAX,
    PART_BYTES_MAX,
    EventsFile,
    write_streams,
)
from eventstore.archive.session import ArchiveRefused
from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from eventstore.archive.chain_check import LaneRange
    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.archive.parquet_writer import WrittenFile
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

_EVENTS_PER_READ: Final = 2_048


@dataclass(frozen=True, slots=True)
class Export:
    """A partition's two files, and what is in them."""

    log_id: UUID
    lanes: Sequence[ChainCheck]
    spans: Sequence[EventSpan]
    stream_edges: Sequence[tuple[UUID, UUID]]
    files: Mapping[str, WrittenFile]
    first_recorded_at: datetime
    last_recorded_at: datetime

    @property
    def events_count(self) -> int:
        """How many events there are."""
        return sum(each.last_position - each.first_position + 1 for each in self.spans)

    @property
    def objects(self) -> Mapping[str, ArchivedObject]:
        """How the files are to be stored: named by log, range and digest."""
        lane = self.lanes[0].range
        stem = f"{self.log_id}/event/{lane.first_position:019}-{lane.last_position:019}"
        return {
            content: ArchivedObject(
                f"{stem}-{file.sha256.hex()[:16]}.{content}.parquet",
                file.size_bytes,
                file.sha256,
                file.footer,
            )
            for content, file in self.files.items()
        }


async def export(
    store: EventStore,
    ranges: Sequence[LaneRange],
    folder: Path,
    *,
    log_id: UUID,
    told: Callable[[int], None],
) -> Export:
    """Write the files of a partition into a folder; `told` hears of the number of events that are through.

    Errors: ArchiveRefused naming the position that does not fit; StoreUnavailable.
    """
    file = EventsFile(folder / EVENTS, _about(log_id, ranges))
    checks = [ChainCheck(each) for each in ranges]
    spans: list[tuple[int, int, int]] = []
    recorded: list[datetime] = []
    for check in checks:
        async for events in _parts(store, check.range):
            await asyncio.to_thread(_through, check, file, events)
            spans.append((check.range.lane, events[0].position.number, events[-1].position.number))
            recorded += (events[0].recorded_at, events[-1].recorded_at)
            told(len(events))
        check.finish()
    ends = {f"end_hash_{each.range.lane}": each.end_hash.hex() for each in checks}
    written = await asyncio.to_thread(file.finish, ends)
    streams, edges = await asyncio.to_thread(
        write_streams, folder / STREAMS, file.places(), _about(log_id, ranges)
    )
    return Export(
        log_id=log_id,
        lanes=checks,
        spans=[
            EventSpan(number, span, *where)
            for number, (span, where) in enumerate(zip(written.parts, spans, strict=True))
        ],
        stream_edges=edges,
        files={EVENTS: written, STREAMS: streams},
        first_recorded_at=min(recorded),
        last_recorded_at=max(recorded),
    )


async def read_back(storage: ObjectStorage, exported: Export, told: Callable[[int], None]) -> None:
    """Read a partition's objects from storage and hold them against chain and log seals again.

    Errors: ArchiveDamaged, ArchiveRefused; ObjectStorageUnavailable.
    """
    objects = exported.objects
    events, streams = (ColdFile(storage, objects[content]) for content in (EVENTS, STREAMS))
    checks = {each.range.lane: ChainCheck(each.range) for each in exported.lanes}
    for each in exported.spans:
        part = EventPart(await events.table(each.number, each.span, each.first_position, each.last_position))
        await asyncio.to_thread(_follow, checks[each.lane], part)
        told(len(part))
    for each in checks.values():
        each.finish()
    lane = exported.lanes[0].range
    named = 0
    for number, span in enumerate(exported.files[STREAMS].parts):
        table = await streams.table(number, span, lane.first_position, lane.last_position)
        named += PlacePart(table).events_count()
    if named != exported.events_count:
        raise ArchiveRefused(f"the index names {named} events, and there are {exported.events_count}")


def _about(log_id: UUID, ranges: Sequence[LaneRange]) -> Mapping[str, str]:
    about = {
        "format": "eventstore archive",
        "format_version": str(FORMAT_VERSION),
        "log_id": str(log_id),
        "from_position": str(ranges[0].first_position),
        "to_position": str(ranges[0].last_position),
        "lanes": str(len(ranges)),
    }
    for each in ranges:
        about[f"hash_before_{each.lane}"] = each.hash_before.hex()
        if each.seals:
            about[f"log_seals_{each.lane}"] = f"{each.seals[0].number}-{each.seals[-1].number}"
    return about


async def _parts(store: EventStore, lane: LaneRange) -> AsyncGenerator[Sequence[StoredEvent]]:
    """Yield the events of a range, as many at a time as a row group takes."""
    part: list[StoredEvent] = []
    part_bytes = 0
    async for event in _events(store, lane):
        part.append(event)
        part_bytes += len(event.payload)
        if len(part) == EVENTS_PER_PART_MAX or part_bytes >= PART_BYTES_MAX:
            yield part
            part, part_bytes = [], 0
    if part:
        yield part


async def _events(store: EventStore, lane: LaneRange) -> AsyncGenerator[StoredEvent]:
    after = Position(lane.lane, lane.first_position - 1)
    while after.number < lane.last_position:
        limit = min(_EVENTS_PER_READ, lane.last_position - after.number)
        page = await store.read_all(after, limit=limit)
        if not page.events:
            return
        for event in page.events:
            yield event
        after = page.scanned


def _through(check: ChainCheck, file: EventsFile, events: Sequence[StoredEvent]) -> None:
    check.add(events)
    file.add(events)


def _follow(check: ChainCheck, part: EventPart) -> None:
    check.add(part.slice(0, len(part)))
