"""How far read models are, seen beside the heads of the log in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from eventstore.following.partitions import by_lane
from eventstore.lanes import followed
from eventstore.types import LEDGER_LANE
from services.projections.lane_heads import WITH_HEADS
from services.runtime.coverage import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

# One statement is one snapshot: the heads are no newer than the checkpoints beside them.
_SNAPSHOT: Final[LiteralString] = """
select clock_timestamp(), (select jsonb_object_agg(lane, position) from head),
  (select positions from es.projection where name = %(name)s and version = %(version)s and partition = 0)
"""


async def snapshot(
    connection: AsyncConnection[Any], name: str, version: int, lanes: Sequence[int]
) -> Snapshot:
    """Return a read model's checkpoints beside the heads of its lanes.

    Shape: LEDGER_LANE among `lanes` stands for all lanes of the ledger.
    """
    cursor = await connection.execute(WITH_HEADS + _SNAPSHOT, {"name": name, "version": version})
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("a select without a table returned no row")
    now, heads, positions = row
    wanted = followed(lanes, sum(lane >= LEDGER_LANE for lane in by_lane(heads)))
    return Snapshot(
        now=now,
        heads={lane: number for lane, number in by_lane(heads).items() if lane in wanted},
        checkpoints=by_lane(positions or {}),
    )
