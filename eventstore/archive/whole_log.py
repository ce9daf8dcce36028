"""One log of two halves: what the database has, and before it what object storage has.

Archived partitions are always the oldest ones, and an event leaves the database only when it can be read from
storage. So the database is read first, and what it lacks at the beginning is looked for in the archive; a
page that begins where it was asked to begin needs no look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.reader import EVENTS_PER_PAGE_MAX, SCANNED_PER_PAGE_MAX
from eventstore.types import Page, Position, is_as_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from eventstore.archive.cold_reader import ColdReader
    from eventstore.reader import PlacedStream, Reader
    from eventstore.types import AsOf, Filter, StoredEvent


class WholeLog:
    """Reads hot and cold events alike."""

    def __init__(self, hot: Reader, cold: ColdReader) -> None:
        """Take both halves."""
        self._hot = hot
        self._cold = cold

    async def page(self, after: Position, limit: int, only: Filter) -> Page:
        """Return what follows `after`; see EventStore.read_all."""
        limit = max(1, min(limit, EVENTS_PER_PAGE_MAX))
        found = await self._hot.page(after, limit, only)
        page, archived_until = found.page, found.archived_until
        if after.number + 1 >= archived_until:
            return page
        until = max(page.scanned.number, after.number + limit)
        until = min(archived_until - 1, until, after.number + SCANNED_PER_PAGE_MAX)
        cold = await self._cold.page(after, until, limit, only)
        if len(cold.events) == limit or until < archived_until - 1:
            return cold
        hot = [event for event in page.events if event.position.number >= archived_until]
        events = [*cold.events, *hot][:limit]
        full = len(events) == limit
        end = Position(after.lane, max(until, page.scanned.number))
        return Page(events, events[-1].position if full else end)

    async def stream(
        self, stream_id: UUID, from_version: int, limit: int, tenant: UUID | None, as_of: AsOf
    ) -> Sequence[StoredEvent]:
        """Return a stream's events; see EventStore.read_stream."""
        from_version = max(1, from_version)
        hot = await self._hot.stream(stream_id, from_version, limit, tenant, as_of)
        if hot and hot[0].version == from_version:
            return hot
        placed = await self._hot.placed_stream(stream_id, from_version, limit, tenant, as_of)
        if placed is None:
            return []
        versions = _cold_versions(placed, from_version, limit)
        if not versions:
            return placed.events
        cold = await self._cold.stream(stream_id, placed.first_position, versions, placed.archived_until)
        return [*(event for event in cold if is_as_of(event, as_of)), *placed.events][:limit]


def _cold_versions(placed: PlacedStream, from_version: int, limit: int) -> range:
    end = placed.version + 1 if placed.first_hot_version is None else placed.first_hot_version
    return range(from_version, max(from_version, min(end, from_version + limit)))
