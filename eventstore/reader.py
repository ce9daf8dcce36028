"""Reads events back: one stream, or a lane in order, over a few connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from psycopg.rows import tuple_row

from eventstore.connections import READ_ROLE, TENANT_ROLE
from eventstore.line import Lines
from eventstore.types import PULSE_LANE, Filter, Page, Position, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from typing import LiteralString, TypeAlias
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.names import Names
    from eventstore.types import AsOf

    Row: TypeAlias = tuple[Any, ...]

T = TypeVar("T")

#: How many positions one filtered page may look at, so that a rare kind of event cannot scan the whole log.
SCANNED_PER_PAGE_MAX: Final = 20_000
EVENTS_PER_PAGE_MAX: Final = 10_000
READERS_MAX: Final = 4

_NO_END: Final = 9_223_372_036_854_775_807

_LEDGER: LiteralString = (
    "select position, lane, stream_id, category, version, event_id, event_type, schema_version, payload,"
    " tenant, correlation_id, causation_id, trace_parent, actor, recorded_at, hash"
    " from es.event where lane = %(lane)s and "
)
_PULSES: LiteralString = (
    "select position, -1, stream_id, category, 0, event_id, event_type, schema_version, payload,"
    " tenant, correlation_id, causation_id, trace_parent, actor, recorded_at, ''::bytea from es.pulse where "
)
_AFTER: LiteralString = "position > %(after)s and position <= %(until)s"
_IN_ORDER: LiteralString = " order by position limit %(limit)s"
_STREAM: LiteralString = (
    "select position, lane, stream_id, category, version, event_id, event_type, schema_version, payload,"
    " tenant, correlation_id, causation_id, trace_parent, actor, recorded_at, hash"
    " from es.event where stream_id = %(stream_id)s"
    " and version >= %(from_version)s"
    " and position >= (select first_position from es.stream_head where stream_id = %(stream_id)s)"
)
_UNTIL_POSITION: LiteralString = " and lane = %(lane)s and position <= %(number)s"
_UNTIL_INSTANT: LiteralString = " and recorded_at <= %(instant)s"
_BY_VERSION: LiteralString = " order by version limit %(limit)s"
_POSITION_AT: LiteralString = "select es.position_at_v1(%(lane)s::smallint, %(instant)s::timestamptz)"
_HEAD: LiteralString = (
    "select position from es.event where lane = %(lane)s"
    " and position >= (select floor from es.lane where lane = %(lane)s) order by position desc limit 1"
)
_PULSE_HEAD: LiteralString = (
    "select position from es.pulse"
    " where position >= (select floor from es.lane where lane = -1) order by position desc limit 1"
)
#: Around a query: the first position that is not archived comes along with the rows. It is asked for in the
#: statement that reads them: with a later snapshot, a partition could have come or gone in between.
_BEGIN: LiteralString = (
    "select a.until, e.*"
    " from (select coalesce(max(to_position), 1) from es.archive where detached_at is not null) as a(until)"
    " left join lateral ("
)
_END: LiteralString = ") as e on true"
#: How many positions of a range are there, from where the database has them.
_COUNT: LiteralString = (
    "select floor, (select count(*) from es.event"
    " where lane = %(lane)s and position > floor and position <= %(scanned)s)"
    " from (select greatest(%(after)s, coalesce(max(to_position), 1) - 1) as floor"
    " from es.archive where detached_at is not null) as archived"
)
_FIRST_HOLE: LiteralString = (
    "select before, position from ("
    " select position, lag(position, 1, %(after)s::bigint) over (order by position) as before"
    " from es.event where lane = %(lane)s and position > %(after)s) as following"
    " where position <> before + 1 order by position limit 1"
)
#: Around a query of a stream, for the same reason: where the stream is.
_PLACE: LiteralString = (
    "select coalesce((select max(to_position) from es.archive where detached_at is not null), 1),"
    " h.first_position, h.version, (select f.version from es.event f"
    " where f.stream_id = h.stream_id and f.position >= h.first_position order by f.version limit 1), e.*"
    " from es.stream_head h left join lateral ("
)
_OF_HEAD: LiteralString = ") as e on true where h.stream_id = %(stream_id)s"
_AS_TENANT: LiteralString = (
    "select set_config('role', %s, true), set_config('directorybolt.tenant', %s, true)"
)


@dataclass(frozen=True, slots=True)
class HotPage:
    """What the database has of a page; what lies before `archived_until` may be missing from it."""

    page: Page
    archived_until: int = 1


@dataclass(frozen=True, slots=True)
class PlacedStream:
    """What the database has of a stream, where it begins, its version, and the first version that is here."""

    events: Sequence[StoredEvent]
    archived_until: int
    first_position: int
    version: int
    first_hot_version: int | None


class Reader:
    """Reads for one store what its database has."""

    def __init__(self, conninfo: str, names: Names, patience_seconds: float) -> None:
        """Take the database; `patience_seconds` is how long a caller waits for one that is away."""
        self._names = names
        self._patience_seconds = patience_seconds
        self._lines = Lines(conninfo, READ_ROLE, "read", lines_max=READERS_MAX)

    async def open(self) -> int:
        """Get ready and return the number of lanes.

        Errors: StoreUnavailable.
        """
        return await self._patiently(_lanes)

    async def close(self) -> None:
        """Close the connections."""
        await self._lines.close()

    async def head(self, lane: int) -> Position:
        """Return the last position of a lane; number 0 when it is empty."""
        return await self._patiently(lambda connection: _head(connection, lane))

    async def stream(
        self, stream_id: UUID, from_version: int, limit: int, tenant: UUID | None, as_of: AsOf
    ) -> Sequence[StoredEvent]:
        """Return a stream's events; see EventStore.read_stream."""
        query, wanted = _stream(stream_id, from_version, limit, as_of)

        async def _read(connection: AsyncConnection) -> Sequence[StoredEvent]:
            return await self._events(connection, await _rows_of(connection, query, wanted, tenant))

        return await self._patiently(_read)

    async def placed_stream(
        self, stream_id: UUID, from_version: int, limit: int, tenant: UUID | None, as_of: AsOf
    ) -> PlacedStream | None:
        """Return a stream's events and where the stream is; None when there is none, or it is another's."""
        query, wanted = _stream(stream_id, from_version, limit, as_of)

        async def _read(connection: AsyncConnection) -> PlacedStream | None:
            rows = await _rows_of(connection, _PLACE + query + _OF_HEAD, wanted, tenant)
            events = await self._events(connection, [row[4:] for row in rows if row[4] is not None])
            return PlacedStream(events, *rows[0][:4]) if rows else None

        return await self._patiently(_read)

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Lend a connection to whoever reads other tables of the store.

        Errors: StoreUnavailable.
        """
        return await self._patiently(question)

    async def position_at(self, instant: datetime, lane: int) -> Position:
        """Return the last position recorded at an instant or before it; see EventStore.position_at."""
        wanted = {"lane": lane, "instant": instant}
        rows = await self._patiently(lambda connection: _rows(connection, _POSITION_AT, wanted))
        return Position(lane, rows[0][0])

    async def page(self, after: Position, limit: int, only: Filter) -> HotPage:
        """Return what follows `after`, at most EVENTS_PER_PAGE_MAX events; see EventStore.read_all."""
        if only == Filter():
            return await self._patiently(lambda connection: self._whole_page(connection, after, limit))
        return await self._patiently(lambda connection: self._filtered_page(connection, after, limit, only))

    async def _whole_page(self, connection: AsyncConnection, after: Position, limit: int) -> HotPage:
        """Read without a filter: there are no gaps, so the last event tells how far was looked."""
        query = (_PULSES if after.lane == PULSE_LANE else _LEDGER) + _AFTER + _IN_ORDER
        # The upper end spares the ledger's reader every later partition.
        until = after.number + limit if after.lane != PULSE_LANE else _NO_END
        wanted = {"lane": after.lane, "after": after.number, "until": until, "limit": limit}
        rows = await _rows(connection, query, wanted)
        archived_until = 1
        if _begins_later(after, rows) or (not rows and await _has_more(connection, after)):
            # Archived, or destroyed. Then the page shows what comes after the hole.
            archived_until, rows = await _rows_and_archived_until(connection, query, wanted)
            if not rows and archived_until <= after.number + 1:
                rows = await _rows(connection, query, {**wanted, "until": _NO_END})
        events = await self._events(connection, rows)
        return HotPage(Page(events, events[-1].position if events else after), archived_until)

    async def _filtered_page(
        self, connection: AsyncConnection, after: Position, limit: int, only: Filter
    ) -> HotPage:
        """Read with a filter: up to the head as it was before, so that nothing newer is passed over."""
        head = await _head(connection, after.lane)
        if head.number <= after.number:
            return HotPage(Page([], after))
        # After the head: a name unknown now belongs to no event up to there.
        await self._learn(connection, only)
        until = head.number if only.tenant else min(head.number, after.number + SCANNED_PER_PAGE_MAX)
        query = (_PULSES if after.lane == PULSE_LANE else _LEDGER) + _AFTER + _condition(only) + _IN_ORDER
        wanted = {"lane": after.lane, "after": after.number, "until": until, "limit": limit}
        archived_until, rows = await _rows_and_archived_until(
            connection, query, {**wanted, **self._wanted(only)}, only.tenant
        )
        events = await self._events(connection, rows)
        scanned = events[-1].position if len(events) == limit else Position(after.lane, until)
        if after.lane == PULSE_LANE:
            return HotPage(Page(events, scanned))
        hole = None if only.tenant else await _hole(connection, after, scanned)
        return HotPage(Page(events, scanned, hole), archived_until)

    async def _learn(self, connection: AsyncConnection, only: Filter) -> None:
        known = only.categories <= self._names.category_ids.keys()
        if not known or not only.event_types <= self._names.event_type_ids.keys():
            await self._names.load(connection)

    def _wanted(self, only: Filter) -> dict[str, Any]:
        categories, event_types = self._names.category_ids, self._names.event_type_ids
        return {
            "categories": [categories[name] for name in only.categories if name in categories],
            "event_types": [event_types[name] for name in only.event_types if name in event_types],
            "tenant": only.tenant,
            "partition_count": only.partitions.count if only.partitions else 1,
            "partitions": sorted(only.partitions.chosen) if only.partitions else [],
        }

    async def _events(self, connection: AsyncConnection, rows: Sequence[Row]) -> Sequence[StoredEvent]:
        try:
            return [self._event(row) for row in rows]
        except KeyError:
            await self._names.load(connection)
            return [self._event(row) for row in rows]

    def _event(self, row: Row) -> StoredEvent:
        number, lane, stream_id, category, version, event_id, event_type, *rest = row
        return StoredEvent(
            Position(lane, number),
            stream_id,
            self._names.categories[category],
            version,
            event_id,
            self._names.event_types[event_type],
            *rest,
            ignorable=self._names.ignorable[event_type],
        )

    async def _patiently(self, read: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self._lines.call(read, self._patience_seconds)


async def _lanes(connection: AsyncConnection) -> int:
    cursor = await connection.execute("select lanes from es.setting")
    row = await cursor.fetchone()
    return row[0] if row else 1


async def _head(connection: AsyncConnection, lane: int) -> Position:
    rows = await _rows(connection, _PULSE_HEAD if lane == PULSE_LANE else _HEAD, {"lane": lane})
    return Position(lane, rows[0][0] if rows else 0)


async def _rows(
    connection: AsyncConnection, query: LiteralString, wanted: Mapping[str, Any]
) -> Sequence[Row]:
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(query, wanted)
    return await cursor.fetchall()


async def _rows_of(
    connection: AsyncConnection, query: LiteralString, wanted: Mapping[str, Any], tenant: UUID | None
) -> Sequence[Row]:
    if tenant is None:
        return await _rows(connection, query, wanted)
    async with connection.pipeline(), connection.transaction():
        await connection.execute(_AS_TENANT, [TENANT_ROLE, str(tenant)])
        return await _rows(connection, query, wanted)


async def _rows_and_archived_until(
    connection: AsyncConnection, query: LiteralString, wanted: Mapping[str, Any], tenant: UUID | None = None
) -> tuple[int, Sequence[Row]]:
    rows = await _rows_of(connection, _BEGIN + query + _END, wanted, tenant)
    return rows[0][0], [row[1:] for row in rows if row[1] is not None]


async def _hole(connection: AsyncConnection, after: Position, scanned: Position) -> tuple[int, int] | None:
    """Return what is before and after the first missing position of a range: a filter would hide it."""
    wanted = {"lane": after.lane, "after": after.number, "scanned": scanned.number}
    [(floor, present)] = await _rows(connection, _COUNT, wanted)
    if present >= scanned.number - floor:
        return None
    rows = await _rows(connection, _FIRST_HOLE, {**wanted, "after": floor})
    return (rows[0][0], rows[0][1]) if rows else (floor, scanned.number + 1)


def _begins_later(after: Position, rows: Sequence[Row]) -> bool:
    return after.lane != PULSE_LANE and bool(rows) and rows[0][0] != after.number + 1


async def _has_more(connection: AsyncConnection, after: Position) -> bool:
    return (await _head(connection, after.lane)).number > after.number


def _stream(
    stream_id: UUID, from_version: int, limit: int, as_of: AsOf
) -> tuple[LiteralString, Mapping[str, Any]]:
    until, moment = _until(as_of)
    wanted = {"stream_id": stream_id, "from_version": from_version, "limit": limit, **moment}
    return _STREAM + until + _BY_VERSION, wanted


def _until(as_of: AsOf) -> tuple[LiteralString, Mapping[str, Any]]:
    if as_of is None:
        return "", {}
    if isinstance(as_of, Position):
        return _UNTIL_POSITION, {"lane": as_of.lane, "number": as_of.number}
    return _UNTIL_INSTANT, {"instant": as_of}


def _condition(only: Filter) -> LiteralString:
    condition: LiteralString = ""
    if only.categories:
        condition += " and category = any(%(categories)s::smallint[])"
    if only.event_types:
        condition += " and event_type = any(%(event_types)s::smallint[])"
    if only.tenant:
        condition += " and tenant = %(tenant)s"
    if only.partitions:
        condition += (
            " and es.partition_of_v1(stream_id, %(partition_count)s::int) = any(%(partitions)s::int[])"
        )
    return condition
