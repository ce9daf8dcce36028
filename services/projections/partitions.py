"""Whether the log has room ahead: partitions that no event has reached yet. Owner: monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

_HEADS: Final[LiteralString] = """
with head as (
  select 'event' as log, coalesce(max(found.position), 0) as position
  from es.lane l cross join lateral (
    select max(e.position) as position from es.event e where e.lane = l.lane and e.position >= l.floor
  ) found
  where l.lane >= 0
  union all
  select 'pulse', coalesce(max(p.position), 0) from es.pulse p
  where p.position >= (select floor from es.lane where lane = -1)
)
"""
# Nothing but the text above is put into these two.
_CREATE: Final[LiteralString] = _HEADS + "select es.create_partitions_ahead_v1(log, position) from head"  # noqa: S608
_ROOM: Final[LiteralString] = (
    _HEADS  # noqa: S608
    + """
select log, (select count(*)::int from es.partition p where p.log = head.log and p.from_position > position)
from head order by log
"""
)


@dataclass(frozen=True, slots=True)
class Room:
    """How many empty partitions a log has ahead."""

    log: str
    partitions: int


async def create_partitions_ahead(connection: AsyncConnection[Any]) -> None:
    """See to it that each log has an empty partition ahead."""
    await connection.execute(_CREATE)


async def room_ahead(connection: AsyncConnection[Any]) -> Sequence[Room]:
    """Return how much room each log has."""
    cursor = await connection.execute(_ROOM)
    return [Room(log, partitions) for log, partitions in await cursor.fetchall()]
