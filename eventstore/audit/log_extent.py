"""How far a log reaches: its lanes, its head, what was archived, and events where none may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row

from eventstore.audit.verdict import Check, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection

_LANES: Final[LiteralString] = "select lanes from es.setting"
# Not by way of es.lane: its floor could have been moved, to hide what stands before or after.
_HEAD: Final[LiteralString] = (
    "select coalesce((select position from es.event where lane = %s order by position desc limit 1), 0)"
)
_ARCHIVED: Final[LiteralString] = (
    "select from_position, to_position from es.archive where detached_at is not null order by from_position"
)
_ARCHIVED_END_HASH: Final[LiteralString] = (
    "select l.end_hash from es.archive_lane l join es.archive a using (from_position)"
    " where l.lane = %s and a.to_position = %s"
)
_DELETED_UNTIL: Final[LiteralString] = (
    "select coalesce(max(to_position), 1) from es.archive where deleted_at is not null"
)
_STRAY: Final[LiteralString] = """
(select lane, position, null::bigint from es.event where lane < 0 order by lane, position limit 1)
union all
(select lane, position, null from es.event where lane >= %(lanes)s order by lane, position limit 1)
union all
(select lane, from_position, number from es.log_seal where lane < 0 or lane >= %(lanes)s limit 1)
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """A partition that stands in object storage only; `to_position` is the first one after."""

    from_position: int
    to_position: int


async def lanes_count(connection: AsyncConnection) -> int:
    """Return how many chained lanes the log has."""
    return (await _rows(connection, _LANES))[0][0]


async def head(connection: AsyncConnection, lane: int) -> int:
    """Return the last position of a lane that stands in the database; 0 when there is none."""
    return (await _rows(connection, _HEAD, [lane]))[0][0]


async def archived(connection: AsyncConnection) -> Sequence[Archived]:
    """Return the archived partitions, oldest first."""
    return [Archived(*row) for row in await _rows(connection, _ARCHIVED)]


async def deleted_until(connection: AsyncConnection) -> int:
    """Return the first position that was not deleted in the archive."""
    return (await _rows(connection, _DELETED_UNTIL))[0][0]


async def stray(connection: AsyncConnection) -> Sequence[Finding]:
    """Return an event below, one above and a seal outside of the log's lanes, if there are such."""
    rows = await _rows(connection, _STRAY, {"lanes": await lanes_count(connection)})
    return [Finding(Check.STRAY, lane, position, position, number) for lane, position, number in rows]


def is_archived(ranges: Sequence[Archived], position: int) -> bool:
    """Return whether a position stands in the archive only."""
    return any(each.from_position <= position < each.to_position for each in ranges)


def archived_until(ranges: Sequence[Archived]) -> int:
    """Return the first position that stands in the database: what is archived is always the beginning."""
    return max((each.to_position for each in ranges), default=1)


async def archived_end_hash(connection: AsyncConnection, lane: int, position: int) -> bytes | None:
    """Return the hash that the archive ends with before a position of a lane; None when it does not."""
    rows = await _rows(connection, _ARCHIVED_END_HASH, [lane, position])
    return bytes(rows[0][0]) if rows else None


async def _rows(connection: AsyncConnection, query: LiteralString, values: Any = None) -> Sequence[Any]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(query, values)
    return await cursor.fetchall()
