"""The last position of every lane, for statements that compare it with something else at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import AsyncConnection

#: Begins a statement: `head` has a lane and its last position in each row, the pulse lane as -1 among them.
WITH_HEADS: Final[LiteralString] = """
with head as materialized (
  select l.lane, coalesce(
    case when l.lane < 0
      then (select max(p.position) from es.pulse p where p.position >= l.floor)
      else (select max(e.position) from es.event e where e.lane = l.lane and e.position >= l.floor)
    end, 0) as position
  from es.lane l
)
"""
_HEADS: Final[LiteralString] = "select lane, position from head"


async def lane_heads(connection: AsyncConnection[Any]) -> Mapping[int, int]:
    """Return the last position of every lane."""
    cursor = await connection.execute(WITH_HEADS + _HEADS)
    return dict(await cursor.fetchall())
