"""How far read models are, seen beside the heads of the log in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from eventstore.types import LEDGER_LANE, PULSE_LANE
from services.runtime.coverage import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

# One statement is one snapshot: the heads are no newer than the checkpoints beside them.
_HEADS: Final = """
select clock_timestamp(),
  (select coalesce(max(position), 0) from es.event
   where lane = 0 and position >= (select floor from es.lane where lane = 0)),
  (select coalesce(max(position), 0) from es.pulse
   where position >= (select floor from es.lane where lane = -1)),
  (select positions from es.projection where name = %(name)s and version = %(version)s and partition = 0)
"""
# A version that was replaced stays where it stopped: it is behind for ever, and nobody minds. What is built
# beside a read model, or retired, has a checkpoint of its own, with a # in its name or as its holder.
_LAGS: Final = """
select distinct on (name) name, (positions ->> '0')::bigint,
  (select coalesce(max(position), 0) from es.event
   where lane = 0 and position >= (select floor from es.lane where lane = 0))
from es.projection
where partition = 0 and strpos(name, '#') = 0 and not starts_with(coalesce(holder, ''), '#')
order by name, version desc
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a read model is behind the ledger."""

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
    """Return a read model's checkpoints beside the heads of its lanes."""
    cursor = await connection.execute(_HEADS, {"name": name, "version": version})
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("a select without a table returned no row")
    now, ledger, pulses, positions = row
    heads = {LEDGER_LANE: ledger, PULSE_LANE: pulses}
    stored = cast("Mapping[str, int]", positions or {})
    return Snapshot(
        now=now,
        heads={lane: heads[lane] for lane in lanes},
        checkpoints={int(lane): number for lane, number in stored.items()},
    )


async def lags(connection: AsyncConnection[Any]) -> Sequence[Lag]:
    """Return how far every read model is behind, by name."""
    cursor = await connection.execute(_LAGS)
    return [Lag(name, position or 0, head) for name, position, head in await cursor.fetchall()]
