"""What an export is of: a range of the log, or every event with some identifier; hot and archived alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg.rows import tuple_row

from eventstore.audit import log_extent
from eventstore.store import EVERYTHING
from eventstore.types import Filter, Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

    By = Literal["tenant", "stream", "correlation", "event"]

_PAGE_EVENTS: Final = 1_000
_OF_EVENT: Final[LiteralString] = "select lane, position from es.event_key where event_id = %s"
_OF_CORRELATION: Final[LiteralString] = """
select lane, position from es.event where correlation_id = %(id)s
union
select lane, position from es.event where stream_id = %(id)s
order by lane, position
"""


@dataclass(frozen=True, slots=True)
class EventRange:
    """Everything between two positions of each lane; None means up to the head of now."""

    from_position: int = 1
    to_position: int | None = None

    @property
    def words(self) -> str:
        """What it is, for people."""
        end = "the head" if self.to_position is None else str(self.to_position)
        return f"positions {self.from_position} to {end}"


@dataclass(frozen=True, slots=True)
class Selected:
    """Every event of a tenant, a stream or a job (its correlation id and its own stream), or one event."""

    by: By
    identifier: UUID

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{self.by} {self.identifier}"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a range begins and ends in a lane; `to_position` below `from_position` when it is empty."""

    lane: int
    from_position: int
    to_position: int


class Source:
    """Reads what is selected, in order of lane and position."""

    def __init__(self, store: EventStore, connection: AsyncConnection) -> None:
        """Take the store to read from, and a connection that may read all of its tables."""
        self._store = store
        self._connection = connection

    async def extents(self, wanted: EventRange) -> Sequence[Extent]:
        """Return a range as it is now: what was deleted in the archive cannot be exported any more."""
        first = max(wanted.from_position, await log_extent.deleted_until(self._connection))
        lanes = range(await log_extent.lanes_count(self._connection))
        ends = [(await self._store.head(lane)).number for lane in lanes]
        last = wanted.to_position
        return [Extent(lane, first, min(end, last or end)) for lane, end in zip(lanes, ends, strict=True)]

    async def within(self, extent: Extent, only: Filter = EVERYTHING) -> AsyncGenerator[StoredEvent]:
        """Yield the events of an extent.

        Errors: EventsArchived when they lie in an archive that cannot be read; StoreUnavailable.
        """
        after = Position(extent.lane, extent.from_position - 1)
        while after.number < extent.to_position:
            limit = min(_PAGE_EVENTS, extent.to_position - after.number)
            page = await self._store.read_all(after, limit=limit, only=only)
            for event in page.events:
                if event.position.number <= extent.to_position:
                    yield event
            if page.scanned == after:
                return
            after = page.scanned

    async def selected(self, wanted: Selected) -> AsyncGenerator[StoredEvent]:
        """Yield the events with an identifier; see `within`."""
        if wanted.by == "stream":
            events = self._of_stream(wanted.identifier)
        elif wanted.by == "tenant":
            events = self._of_tenant(wanted.identifier)
        elif wanted.by == "event":
            events = self._at(await self._rows(_OF_EVENT, [wanted.identifier]))
        else:
            events = self._of_correlation(wanted.identifier)
        async for each in events:
            yield each

    async def _of_stream(self, stream_id: UUID) -> AsyncGenerator[StoredEvent]:
        following = 1
        while page := await self._store.read_stream(stream_id, from_version=following, limit=_PAGE_EVENTS):
            for event in page:
                yield event
            following = page[-1].version + 1

    async def _of_tenant(self, tenant: UUID) -> AsyncGenerator[StoredEvent]:
        for extent in await self.extents(EventRange()):
            async for event in self.within(extent, Filter(tenant=tenant)):
                yield event

    async def _of_correlation(self, identifier: UUID) -> AsyncGenerator[StoredEvent]:
        """The index knows what is in the database; the archive has none, and is looked through."""
        hot = await self._rows(_OF_CORRELATION, {"id": identifier})
        archived = await log_extent.archived(self._connection)
        for extent in await self.extents(EventRange()):
            if archived:
                async for event in self.within(
                    Extent(extent.lane, extent.from_position, archived[-1].to_position - 1)
                ):
                    if identifier in {event.correlation_id, event.stream_id}:
                        yield event
            async for event in self._at([each for each in hot if each[0] == extent.lane]):
                yield event

    async def _at(self, places: Sequence[tuple[int, int]]) -> AsyncGenerator[StoredEvent]:
        for lane, position in places:
            async for event in self.within(Extent(lane, position, position)):
                yield event

    async def _rows(
        self, query: LiteralString, values: Sequence[Any] | Mapping[str, Any]
    ) -> Sequence[tuple[int, int]]:
        cursor = self._connection.cursor(row_factory=tuple_row)
        await cursor.execute(query, values)
        return await cursor.fetchall()
