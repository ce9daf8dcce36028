"""Reads archived events: by position through the row groups that hold them, by stream through their index.

Which partitions are archived is asked of the database each time; which bytes of them hold what never changes
and is remembered.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from eventstore.archive import archived
from eventstore.archive.archived import EVENTS, STREAMS
from eventstore.archive.cold_file import ColdFile
from eventstore.archive.parquet_reader import EventPart, PlacePart
from eventstore.archive.part_cache import PartCache
from eventstore.errors import ArchiveDamaged, EventsArchived, EventsDeleted
from eventstore.store import EVERYTHING
from eventstore.types import Filter, Page, Position

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.archive.archived import Archived, EventSpan, StreamSpan
    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.names import Names
    from eventstore.types import StoredEvent

T = TypeVar("T")

#: How many archives' layouts are remembered; one of five million events takes about 200 kB.
_LAYOUTS_MAX: Final = 64


class ColdReader:
    """Reads for one store."""

    def __init__(
        self,
        storage: ObjectStorage | None,
        names: Names,
        ask: Callable[[Callable[[AsyncConnection], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        """Take the storage (None: archived events cannot be read), and how to ask the database."""
        self._storage = storage
        self._names = names
        self._ask = ask
        self._cache = PartCache()
        self._layouts: dict[int, _Layout] = {}

    async def page(self, after: Position, until: int, limit: int, only: Filter = EVERYTHING) -> Page:
        """Return what follows `after` up to the position `until`, which is archived; see EventStore.read_all.

        Errors: EventsArchived, EventsDeleted, ArchiveDamaged, StoreUnavailable.
        """
        found: list[StoredEvent] = []
        at = after.number
        for archive in await self._archives(at + 1, until):
            layout = await self._layout(archive)
            for each in layout.event_spans:
                if each.lane != after.lane or each.last_position <= at:
                    continue
                if each.first_position > until:
                    break
                part = await self._event_part(layout, each)
                end = min(until, at + limit - len(found)) if only == EVERYTHING else until
                wanted = _rows(part, each, at, end, only)
                events = wanted.slice(0, len(wanted), layout.ignorable)
                found += [event for event in events if only.wants(event)]
                if len(found) >= limit:
                    return Page(found[:limit], found[limit - 1].position)
                at = each.last_position
        return Page(found, Position(after.lane, until))

    async def stream(
        self, stream_id: UUID, first_position: int, versions: range, archived_until: int
    ) -> Sequence[StoredEvent]:
        """Return these versions of a stream, all of which are archived.

        Errors: EventsArchived, EventsDeleted, ArchiveDamaged, StoreUnavailable.
        """
        found: list[StoredEvent] = []
        for archive in await self._archives(first_position, archived_until - 1, deleted_too=True):
            missing = range(versions.start + len(found), versions.stop)
            if not missing:
                break
            if not archive.is_deleted:
                found += await self._versions(archive, stream_id, missing)
        if len(found) < len(versions) or found[0].version != versions.start:
            await self._archives(first_position, archived_until - 1)
            raise ArchiveDamaged(f"the archive's index of stream {stream_id}", first_position, archived_until)
        return found

    async def _versions(self, archive: Archived, stream_id: UUID, versions: range) -> Sequence[StoredEvent]:
        layout = await self._layout(archive)
        number = bisect_left(layout.stream_spans, stream_id, key=lambda each: each.last_stream_id)
        found: list[StoredEvent] = []
        for each in layout.stream_spans[number:]:
            if each.first_stream_id > stream_id:
                break
            for place in (await self._place_part(layout, each)).of(stream_id):
                if place.last_version < versions.start or place.first_version >= versions.stop:
                    continue
                part = await self._event_part(layout, layout.event_spans[place.part])
                events = part.of("stream_id", stream_id).slice(0, place.events, layout.ignorable)
                found += [event for event in events if event.version in versions]
        return found

    async def _archives(self, first: int, last: int, *, deleted_too: bool = False) -> Sequence[Archived]:
        found: Sequence[Archived] = await self._ask(lambda each: archived.archives(each, first, last))
        for archive in found:
            if archive.is_deleted and not deleted_too:
                raise EventsDeleted(*await self._ask(archived.deleted_until))
            if self._storage is None and not archive.is_deleted:
                raise EventsArchived(archive.from_position, archive.to_position - 1, archive.url)
        return found

    async def _layout(self, archive: Archived) -> _Layout:
        layout = self._layouts.get(archive.from_position)
        if layout is None:
            layout = await self._ask(lambda each: self._read_layout(each, archive))
            while len(self._layouts) >= _LAYOUTS_MAX:
                self._layouts.pop(next(iter(self._layouts)))
            self._layouts[archive.from_position] = layout
        return layout

    async def _read_layout(self, connection: AsyncConnection, archive: Archived) -> _Layout:
        if self._storage is None:
            raise AssertionError("looked for before")
        # A new archive may hold event types that are new, too.
        await self._names.load(connection)
        number, objects = archive.from_position, await archived.objects(connection, archive.from_position)
        return _Layout(
            from_position=number,
            to_position=archive.to_position,
            events=ColdFile(self._storage, objects[EVENTS]),
            streams=ColdFile(self._storage, objects[STREAMS]),
            event_spans=await archived.event_spans(connection, number),
            stream_spans=await archived.stream_spans(connection, number),
            ignorable=self._names.ignorable_event_types(),
        )

    async def _event_part(self, layout: _Layout, span: EventSpan) -> EventPart:
        async def _fetch() -> EventPart:
            return EventPart(
                await layout.events.table(span.number, span.span, span.first_position, span.last_position)
            )

        return await self._cache.get((layout.from_position, EVENTS, span.number), EventPart, _fetch)

    async def _place_part(self, layout: _Layout, span: StreamSpan) -> PlacePart:
        async def _fetch() -> PlacePart:
            return PlacePart(
                await layout.streams.table(
                    span.number, span.span, layout.from_position, layout.to_position - 1
                )
            )

        return await self._cache.get((layout.from_position, STREAMS, span.number), PlacePart, _fetch)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything stands in one archive's objects."""

    from_position: int
    to_position: int
    events: ColdFile
    streams: ColdFile
    event_spans: Sequence[EventSpan]
    stream_spans: Sequence[StreamSpan]
    ignorable: frozenset[str]


def _rows(part: EventPart, span: EventSpan, after: int, until: int, only: Filter) -> EventPart:
    start = max(0, after + 1 - span.first_position)
    part = part.rows(start, min(until, span.last_position) - span.first_position + 1 - start)
    if only.categories:
        part = part.among("category", only.categories)
    if only.event_types:
        part = part.among("event_type", only.event_types)
    return part.of("tenant", only.tenant) if only.tenant else part
