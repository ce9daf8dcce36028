"""The rows of `es.projection` that a rebuild has beside the live one.

`jobs#rebuild` is how far the shadow tables are, `jobs#retired` where the tables stopped that were live
before. While a new version is built, and after another one took over, the version's own row is parked: it has
a holder that never lets go, so that no projector of that version writes into tables that are not its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.types.json import Jsonb

from eventstore.rebuild.errors import CannotRebuild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import AsyncConnection

REBUILT: Final = "#rebuild"
RETIRED: Final = "#retired"
PARKED: Final = [REBUILT, RETIRED]

_LIVE: Final[LiteralString] = """
select version, positions,
  (select count(*) from es.projection p where p.name = live.name and p.version = live.version)
from es.projection live
where name = %s and partition = 0 and coalesce(holder, '') <> all(%s)
order by version desc limit 1
"""
_BESIDE: Final[LiteralString] = (
    "select version, positions from es.projection where name = %s and partition = 0"
)
_WRITE: Final[LiteralString] = """
insert into es.projection as known (name, version, positions, epoch) values (%s, %s, %s, 1)
on conflict (name, version, partition) do update
set positions = excluded.positions, epoch = known.epoch + 1, holder = null, expires_at = null,
    moved_at = clock_timestamp(), paused_at = null, paused_release = null, failed_lane = null,
    failed_position = null, attempts = null, error = null
"""
_PARK: Final[LiteralString] = """
insert into es.projection as known (name, version, epoch, holder, expires_at)
values (%s, %s, 1, %s, '9999-01-01 00:00:00Z')
on conflict (name, version, partition) do update
set epoch = known.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
"""
_MOVE: Final[LiteralString] = """
update es.projection set positions = positions || %s, moved_at = clock_timestamp()
where name = %s and version = %s and partition = 0
"""
_REMOVE: Final[LiteralString] = "delete from es.projection where name = %s"
_UNPARK: Final[LiteralString] = "delete from es.projection where name = %s and holder = %s"
_HOLD: Final[LiteralString] = """
select positions from es.projection where name = %s and version = %s and partition = 0 for update
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far some tables are, by lane, and by which version of the projection they were written."""

    version: int
    positions: Mapping[int, int]

    def reaches(self, positions: Mapping[int, int]) -> bool:
        """Return whether it is as far as these positions in every lane."""
        return all(self.positions.get(lane, 0) >= number for lane, number in positions.items())


async def live(connection: AsyncConnection[Any], name: str) -> Checkpoint | None:
    """Return the checkpoint of the live tables; None when no projector has run yet.

    Errors: CannotRebuild when the projection is split into partitions.
    """
    cursor = await connection.execute(_LIVE, [name, PARKED])
    row = await cursor.fetchone()
    if row is None:
        return None
    version, positions, partitions = row
    if partitions > 1:
        raise CannotRebuild(f"{name} is split into {partitions} partitions: give it one, then rebuild it")
    return Checkpoint(version, by_lane(positions))


async def beside(connection: AsyncConnection[Any], name: str, kind: str) -> Checkpoint | None:
    """Return the checkpoint of the rebuilt or the retired tables; None when there are none."""
    cursor = await connection.execute(_BESIDE, [name + kind])
    row = await cursor.fetchone()
    return Checkpoint(row[0], by_lane(row[1])) if row else None


async def hold_live(connection: AsyncConnection[Any], name: str, version: int) -> Mapping[int, int]:
    """Keep the live checkpoint where it is until the end of the transaction, and return it."""
    cursor = await connection.execute(_HOLD, [name, version])
    row = await cursor.fetchone()
    return by_lane(row[0]) if row else {}


async def write(connection: AsyncConnection[Any], name: str, checkpoint: Checkpoint) -> None:
    """Set a checkpoint; whoever held it is fenced off, and the next may take it at once."""
    positions = Jsonb({str(lane): number for lane, number in checkpoint.positions.items()})
    await connection.execute(_WRITE, [name, checkpoint.version, positions])


async def move(connection: AsyncConnection[Any], name: str, version: int, lane: int, number: int) -> None:
    """Move a checkpoint in one lane."""
    await connection.execute(_MOVE, [Jsonb({str(lane): number}), name, version])


async def park(connection: AsyncConnection[Any], name: str, version: int, kind: str) -> None:
    """Keep every projector of a version away."""
    await connection.execute(_PARK, [name, version, kind])


async def remove(connection: AsyncConnection[Any], name: str, kind: str) -> None:
    """Forget the rebuilt or the retired tables' checkpoint. A version that was parked stays so."""
    await connection.execute(_REMOVE, [name + kind])


async def unpark(connection: AsyncConnection[Any], name: str) -> None:
    """Forget the version that was parked until its swap, because there will be none."""
    await connection.execute(_UNPARK, [name, REBUILT])


def by_lane(positions: Mapping[str, int]) -> Mapping[int, int]:
    """Return positions as the database keeps them, by lane."""
    return {int(lane): number for lane, number in positions.items()}
