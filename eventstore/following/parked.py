"""Events that a projection put aside: which streams they block, and what was asked about them.

Only the holder of a stream's partition adds and removes rows, under its epoch; everybody else writes down
what they ask for. So a stream's order never depends on who is quicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

_ADD: Final[LiteralString] = """
insert into es.parked
  (name, version, lane, position, stream_id, event_id, event_type, state, attempts, error)
select %(name)s, %(version)s, lane, position, stream_id, event_id, event_type,
       %(state)s, %(attempts)s, %(error)s
from unnest(%(lanes)s::smallint[], %(positions)s::bigint[], %(stream_ids)s::uuid[], %(event_ids)s::uuid[],
            %(event_types)s::text[]) as event (lane, position, stream_id, event_id, event_type)
on conflict do nothing
"""
_BLOCKED: Final[LiteralString] = (
    "select distinct stream_id from es.parked"
    " where name = %(name)s and version = %(version)s and state <> 'skipped'"
)
_ASKED: Final[LiteralString] = """
select name, version, lane, position, stream_id, event_id, event_type, state, attempts, error,
       parked_at, asked
from es.parked
where name = %(name)s and version = %(version)s and stream_id in (
  select stream_id from es.parked where name = %(name)s and version = %(version)s and asked is not null
)
order by stream_id, lane, position
"""
_REMOVE: Final[LiteralString] = (
    "delete from es.parked where name = %(name)s and version = %(version)s"
    " and lane = %(lane)s and position = %(position)s"
)
_FAILED_AGAIN: Final[LiteralString] = """
update es.parked
set state = 'failed', attempts = attempts + %(attempts)s, error = %(error)s, asked = null
where name = %(name)s and version = %(version)s and lane = %(lane)s and position = %(position)s
"""
_LIST: Final[LiteralString] = """
select name, version, lane, position, stream_id, event_id, event_type, state, attempts, error,
       parked_at, asked
from es.parked
where %(name)s::text is null or name = %(name)s
order by name, version, lane, position
limit %(limit)s
"""
# What waits behind an event goes on by itself once that event is out of the way.
_ASK: Final[LiteralString] = (
    "update es.parked set asked = %(what)s where name = %(name)s"
    " and (%(position)s::bigint is null or (lane = %(lane)s and position = %(position)s))"
    " and (%(stream_id)s::uuid is null or stream_id = %(stream_id)s)"
    " and case %(what)s when 'replay' then state = 'failed'"
    "     else state <> 'behind' or %(position)s::bigint is not null or %(stream_id)s::uuid is not null end"
)


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that was put aside: `failed` itself, waiting `behind` one that did, or `skipped` for good."""

    name: str
    version: int
    lane: int
    position: int
    stream_id: UUID
    event_id: UUID
    event_type: str
    state: str
    attempts: int
    error: str
    parked_at: datetime
    asked: str | None

    @property
    def place(self) -> Position:
        """Where the event stands in the log."""
        return Position(self.lane, self.position)


class ParkedEvents:
    """The parked events of one projection, as its holder keeps them: within transactions that it fences."""

    def __init__(self, name: str, version: int) -> None:
        """Take the projection."""
        self._key: Mapping[str, object] = {"name": name, "version": version}

    async def blocked(self, connection: AsyncConnection) -> set[UUID]:
        """Return the streams that have to wait."""
        cursor = await connection.execute(_BLOCKED, self._key)
        return {stream_id for (stream_id,) in await cursor.fetchall()}

    async def add(
        self,
        connection: AsyncConnection,
        events: Sequence[StoredEvent],
        state: str,
        *,
        attempts: int = 0,
        error: str = "",
    ) -> None:
        """Put events aside."""
        if events:
            wanted = {**self._key, **_columns(events), "state": state, "attempts": attempts, "error": error}
            await connection.execute(_ADD, wanted)

    async def asked(self, connection: AsyncConnection) -> Sequence[ParkedEvent]:
        """Return all parked events of the streams that somebody asked about, in order."""
        return await _fetch(connection, _ASKED, self._key)

    async def remove(self, connection: AsyncConnection, parked: ParkedEvent) -> None:
        """Forget an event: it was applied, or discarded."""
        await connection.execute(_REMOVE, {**self._key, "lane": parked.lane, "position": parked.position})

    async def failed_again(
        self, connection: AsyncConnection, parked: ParkedEvent, error: str, attempts: int
    ) -> None:
        """Note that an event failed when it was replayed."""
        wanted = {"lane": parked.lane, "position": parked.position, "error": error, "attempts": attempts}
        await connection.execute(_FAILED_AGAIN, {**self._key, **wanted})


async def list_parked(
    connection: AsyncConnection, name: str | None = None, limit: int = 1_000
) -> Sequence[ParkedEvent]:
    """Return parked events, of one projection or of all, oldest first."""
    return await _fetch(connection, _LIST, {"name": name, "limit": limit})


async def ask(
    connection: AsyncConnection,
    what: str,
    name: str,
    *,
    position: Position | None = None,
    stream_id: UUID | None = None,
) -> int:
    """Ask the holder of a projection to `replay` or to `discard` parked events; return how many.

    Without a position or stream it is all of them. What waits behind a discarded event is replayed.
    """
    cursor = await connection.execute(
        _ASK,
        {
            "what": what,
            "name": name,
            "stream_id": stream_id,
            "lane": position.lane if position else None,
            "position": position.number if position else None,
        },
    )
    return cursor.rowcount


def _columns(events: Iterable[StoredEvent]) -> Mapping[str, Sequence[object]]:
    rows = [
        (each.position.lane, each.position.number, each.stream_id, each.event_id, each.event_type)
        for each in events
    ]
    names = ("lanes", "positions", "stream_ids", "event_ids", "event_types")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


async def _fetch(
    connection: AsyncConnection, query: LiteralString, wanted: Mapping[str, Any]
) -> Sequence[ParkedEvent]:
    cursor = connection.cursor(row_factory=class_row(ParkedEvent))
    await cursor.execute(query, wanted)
    return await cursor.fetchall()
