"""Checks of projections: no checkpoint beyond the log, and leases that can expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Row, Rows

_CHECKPOINTS: Final = """
with head as (
  select l.lane, coalesce((select e.position from es.event e where e.lane = l.lane
                           order by e.position desc limit 1), 0) as position
  from es.lane l where l.lane >= 0
  union all
  select -1, coalesce(max(position), 0) from es.pulse
)
select p.name, p.version, p.partition, c.key as lane, c.value::bigint as position, h.position as head
from es.projection p
cross join lateral jsonb_each_text(p.positions) as c
left join head h on h.lane::text = c.key
where h.lane is null or c.value::bigint > h.position or c.value::bigint < 0
order by p.name, p.version, p.partition, c.key limit %(places)s
"""
_LEASES: Final = """
select name, version, partition, holder, epoch, expires_at, moved_at,
       expires_at > clock_timestamp() + interval '1 day' as far_off
from es.projection
where ((holder is null) <> (expires_at is null) or epoch < 0 or holder is not null and epoch = 0
       or expires_at > clock_timestamp() + interval '1 day')
  -- A version that waits for a swap, or was swapped away, is parked: nobody shall take it.
  and not starts_with(coalesce(holder, ''), '#')
order by name, version, partition limit %(places)s
"""


_PARTITIONS: Final = """
select name, version, count(*) as partitions, max(partition) as partition
from es.projection group by name, version
having count(*) <> max(partition) + 1 or min(partition) <> 0
order by name, version limit %(places)s
"""
_PAUSED: Final = """
select name, version, partition, paused_at, failed_lane, failed_position, coalesce(error, '') as error
from es.projection where paused_at is not null
order by name, version, partition limit %(places)s
"""
_PARKED: Final = """
select name, version, count(*) filter (where state = 'failed') as failed,
       count(*) filter (where state = 'behind') as behind, count(distinct stream_id) as streams,
       (array_agg(lane order by parked_at))[1] as lane,
       (array_agg(position order by parked_at))[1] as position,
       (array_agg(error order by parked_at))[1] as error
from es.parked where state <> 'skipped' and strpos(name, '#') = 0
group by name, version order by name, version limit %(places)s
"""


def _projection(row: Row) -> str:
    return f"{_version(row)}, partition {row['partition']}"


def _version(row: Row) -> str:
    return f"projection {row['name']}, version {row['version']}"


def judge_checkpoints(rows: Rows) -> Iterator[Finding]:
    """Find checkpoints that no event stands behind."""
    for row in rows:
        if row["head"] is None:
            said = f"follows lane {row['lane']}, which this store does not have"
        else:
            said = (
                f"read position {row['position']} of lane {row['lane']}, it says, whose last is {row['head']}"
            )
        yield Finding(
            f"the projection {said}",
            _projection(row),
            "the log was cut off or restored from an older backup than the read model: replay the projection",
        )


def judge_leases(rows: Rows) -> Iterator[Finding]:
    """Find leases that nobody could take over, or that nobody was given."""
    for row in rows:
        if row["far_off"]:
            said = f"{row['holder']} holds it until {row['expires_at']}: nobody takes over if it dies"
        elif row["holder"] is None or row["expires_at"] is None:
            said = "holder and expiry must be set together"
        else:
            said = f"epoch {row['epoch']} was never handed out"
        yield Finding(
            said,
            _projection(row),
            "stop the holder, then, in es.projection, set holder = null, expires_at = null,"
            f" epoch = greatest(epoch, 0) + 1 where name = '{row['name']}' and version = {row['version']}"
            f" and partition = {row['partition']}",
        )


def judge_partitions(rows: Rows) -> Iterator[Finding]:
    """Find projections some of whose partitions are missing: their streams are projected by nobody."""
    for row in rows:
        yield Finding(
            f"{row['partitions']} partitions are there, and the highest has number {row['partition']}",
            _version(row),
            "stop the projection, delete its rows from es.projection, and replay it",
        )


def judge_paused(rows: Rows) -> Iterator[Finding]:
    """Find projections that stand still because an event could not be applied."""
    for row in rows:
        yield Finding(
            f"paused since {row['paused_at']}: {row['error']}",
            f"{_projection(row)}, lane {row['failed_lane']}, position {row['failed_position']}",
            "mend what fails, and deploy it as another release or run"
            f" `python -m eventstore projections resume {row['name']}`: until then its rows are old",
        )


def judge_parked(rows: Rows) -> Iterator[Finding]:
    """Find events that were put aside, and the streams that wait behind them."""
    for row in rows:
        yield Finding(
            f"{row['failed']} events failed and {row['behind']} wait behind them,"
            f" in {row['streams']} streams; the first: {row['error']}",
            f"{_version(row)}, lane {row['lane']}, position {row['position']}",
            f"mend what fails, then `python -m eventstore parked replay {row['name']}`, or `discard`",
        )


CHECKS: Final = (
    Check("checkpoints", "Is no projection ahead of the log?", _CHECKPOINTS, judge_checkpoints),
    Check("leases", "Can every lease expire?", _LEASES, judge_leases),
    Check("projection partitions", "Has each projection all partitions?", _PARTITIONS, judge_partitions),
    Check("paused", "Does no projection stand still?", _PAUSED, judge_paused),
    Check("parked", "Was every event applied?", _PARKED, judge_parked),
)
