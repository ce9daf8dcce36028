"""How far read models are, seen beside the heads of the log in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from eventstore.lanes import followed
from eventstore.types import LEDGER_LANE
from services.projections.lane_heads import WITH_HEADS
from services.runtime.coverage import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

# One statement is one snapshot: the heads are no newer than the checkpoints beside them.
_SNAPSHOT: Final[LiteralString] = """
select clock_timestamp(), (select jsonb_object_agg(lane, position) from head),
  (select positions from es.projection where name = %(name)s and version = %(version)s and partition = 0)
"""
# A version that was replaced stays where it stopped: it is behind for ever, and nobody minds. What is built
# beside a read model, or retired, has a checkpoint of its own, with a # in its name or as its holder.
_LAGS: Final[LiteralString] = """
select distinct on (name) name,
  (select coalesce(sum((positions ->> lane::text)::bigint), 0)::bigint from head where lane >= 0),
  (select sum(position)::bigint from head where lane >= 0)
from es.projection
where partition = 0 and strpos(name, '#') = 0 and not starts_with(coalesce(holder, ''), '#')
order by name, version desc
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a read model is behind the ledger; positions of several lanes are added up."""

    name: str
    position: int
    head: int

    @property
    def events(self) -> int:
        """Events that it has not seen yet."""
        return max(0, self.head - self.position)


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
    wanted = followed(lanes, sum(lane >= LEDGER_LANE for lane in _by_lane(heads)))
    return Snapshot(
        now=now,
        heads={lane: number for lane, number in _by_lane(heads).items() if lane in wanted},
        checkpoints=_by_lane(positions or {}),
    )


async def lags(connection: AsyncConnection[Any]) -> Sequence[Lag]:
    """Return how far every read model is behind, by name."""
    cursor = await connection.execute(WITH_HEADS + _LAGS)
    return [Lag(*row) for row in await cursor.fetchall()]


def _by_lane(positions: Mapping[str, int]) -> Mapping[int, int]:
    return {int(lane): number for lane, number in positions.items()}
