"""Tells of every projection how it stands, from what the database knows: anybody may ask, at any time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

from eventstore.following.partitions import by_lane
from eventstore.following.standing import Holder, Pause, Standing, State
from eventstore.types import LEDGER_LANE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import LiteralString, TypeAlias

    from psycopg import AsyncConnection

    Key: TypeAlias = tuple[str, int]

#: A rate is taken over this long at most; what has not moved for so long stands still.
RATE_SECONDS_MAX: Final = 60.0
RATE_SECONDS_MIN: Final = 0.1
_REBUILT: Final = "#rebuild"

_HEADS: Final[LiteralString] = """
select l.lane, coalesce(
  case when l.lane >= 0
    then (select e.position from es.event e where e.lane = l.lane and e.position >= l.floor
          order by e.position desc limit 1)
    else (select p.position from es.pulse p where p.position >= l.floor order by p.position desc limit 1)
  end, 0)
from es.lane l
"""
# What is built beside a read model, or retired, has a # in its name or as its holder.
_PARTITIONS: Final[LiteralString] = """
select p.name, p.version, p.partition, p.positions, p.holder,
  extract(epoch from p.expires_at - clock_timestamp())::float8 as expires_in_seconds,
  coalesce(p.expires_at > clock_timestamp() and (p.session_epoch is distinct from p.epoch
    or p.session_pid in (select pid from pg_stat_activity)), false) as is_held,
  p.passed_over, p.paused_at, p.failed_lane, p.failed_position, p.attempts, p.error,
  p.sampled, extract(epoch from clock_timestamp() - p.sampled_at)::float8 as sampled_seconds,
  p.sampled_before,
  extract(epoch from clock_timestamp() - p.sampled_before_at)::float8 as sampled_before_seconds
from es.projection p
where not starts_with(coalesce(p.holder, ''), '#')
order by p.name, p.version, p.partition
"""
_MEMBERS: Final[LiteralString] = """
select name, version, holder from es.projection_member
where expires_at > clock_timestamp() and session_pid in (select pid from pg_stat_activity)
"""
_PARKED: Final[LiteralString] = """
select name, version, count(*) filter (where state <> 'skipped'), count(*) filter (where state = 'skipped')
from es.parked group by name, version
"""
_NEXT: Final[LiteralString] = """
select extract(epoch from clock_timestamp() - (
  case when lane >= 0
    then (select e.recorded_at from es.event e where e.lane = at.lane and e.position > at.position
          order by e.position limit 1)
    else (select p.recorded_at from es.pulse p where p.position > at.position order by p.position limit 1)
  end))::float8
from unnest(%(lanes)s::smallint[], %(positions)s::bigint[]) with ordinality as at (lane, position, place)
order by place
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A partition of a projection."""

    name: str
    version: int
    partition: int
    positions: Mapping[str, int]
    holder: str | None
    expires_in_seconds: float
    is_held: bool
    passed_over: int
    paused_at: datetime | None
    failed_lane: int
    failed_position: int
    attempts: int
    error: str
    sampled: Mapping[str, int]
    sampled_seconds: float
    sampled_before: Mapping[str, int]
    sampled_before_seconds: float


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is asked once for all projections."""

    heads: Mapping[int, int]
    members: Mapping[Key, set[str]]
    parked: Mapping[Key, tuple[int, int]]
    rebuilt: Mapping[str, Mapping[int, int]]


async def why_behind(connection: AsyncConnection[Any], name: str | None = None) -> Sequence[Standing]:
    """Return how one projection stands, or all of them, by name: the newest version, and others that run.

    Errors: psycopg.Error.
    """
    found = await (await connection.cursor(row_factory=class_row(Row)).execute(_PARTITIONS)).fetchall()
    groups = {key: list(rows) for key, rows in groupby(found, key=lambda row: (row.name, row.version))}
    beside = await _beside(connection, groups)
    standings: list[Standing] = []
    for key in sorted(groups):
        is_newest = all(other <= key for other in groups if other[0] == key[0])
        is_asked = "#" not in key[0] and name in (None, key[0])
        if is_asked and (is_newest or beside.members.get(key)):
            standings.append(await _standing(connection, groups[key], beside))
    return standings


async def _beside(connection: AsyncConnection[Any], groups: Mapping[Key, Sequence[Row]]) -> _Beside:
    heads = await (await connection.execute(_HEADS)).fetchall()
    members = defaultdict[Any, set[str]](set)
    for name, version, holder in await (await connection.execute(_MEMBERS)).fetchall():
        members[name, version].add(holder)
    parked = {
        (name, version): (parked_count, skipped_count)
        for name, version, parked_count, skipped_count in await (await connection.execute(_PARKED)).fetchall()
    }
    rebuilt = {
        name.removesuffix(_REBUILT): by_lane(rows[0].positions)
        for (name, _), rows in groups.items()
        if name.endswith(_REBUILT)
    }
    return _Beside(dict(heads), members, parked, rebuilt)


async def _standing(connection: AsyncConnection[Any], rows: Sequence[Row], beside: _Beside) -> Standing:
    name, version = rows[0].name, rows[0].version
    checkpoint = lowest(row.positions for row in rows)
    holders = _holders(rows)
    members = beside.members.get((name, version), set[str]())
    parked_count, skipped_count = beside.parked.get((name, version), (0, 0))
    return Standing(
        name=name,
        version=version,
        state=state_of(rows, members),
        head={lane: max(beside.heads.get(lane, 0), number) for lane, number in checkpoint.items()},
        checkpoint=checkpoint,
        lag_seconds=await _lag_seconds(connection, checkpoint),
        rate=rate_of(min(rows, key=lambda row: sum(row.positions.values()))),
        partitions_count=len(rows),
        unheld_count=sum(not row.is_held for row in rows),
        holders=holders,
        standby_count=len(members - {each.name for each in holders}),
        pauses=[
            Pause(row.partition, row.failed_lane, row.failed_position, row.attempts, row.error, row.paused_at)
            for row in rows
            if row.paused_at
        ],
        parked_count=parked_count,
        skipped_count=skipped_count,
        passed_over_count=sum(row.passed_over for row in rows),
        rebuilt=beside.rebuilt.get(name),
    )


async def _lag_seconds(connection: AsyncConnection[Any], checkpoint: Mapping[int, int]) -> float:
    wanted = {"lanes": list(checkpoint), "positions": list(checkpoint.values())}
    rows = await (await connection.execute(_NEXT, wanted)).fetchall()
    return max((seconds for (seconds,) in rows if seconds is not None), default=0.0)


def lowest(positions: Iterable[Mapping[str, int]]) -> Mapping[int, int]:
    """Return the low-water mark of some partitions: what all of them have done in each lane."""
    every = [by_lane(each) for each in positions]
    lanes = sorted({lane for each in every for lane in each}) or [LEDGER_LANE]
    return {lane: min(each.get(lane, 0) for each in every) for lane in lanes}


def state_of(rows: Sequence[Row], members: set[str]) -> State:
    """Return what a projection is doing: its worst partition decides."""
    if any(row.paused_at for row in rows):
        return State.PAUSED
    if all(row.is_held for row in rows):
        return State.RUNNING
    return State.WAITING if members else State.UNHELD


def rate_of(row: Row) -> float | None:
    """Return events a second since the older of two samples, if not too old; None when it is too early."""
    for sampled, seconds in (
        (row.sampled_before, row.sampled_before_seconds),
        (row.sampled, row.sampled_seconds),
    ):
        if seconds <= RATE_SECONDS_MAX:
            moved = sum(row.positions.values()) - sum(sampled.values())
            return max(0.0, moved / seconds) if seconds > RATE_SECONDS_MIN else None
    return 0.0


def _holders(rows: Sequence[Row]) -> Sequence[Holder]:
    held = defaultdict[str, list[float]](list)
    for row in rows:
        if row.is_held and row.holder:
            held[row.holder].append(row.expires_in_seconds)
    return [Holder(name, len(lasting), min(lasting)) for name, lasting in sorted(held.items())]
