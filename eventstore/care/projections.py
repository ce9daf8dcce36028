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
where (holder is null) <> (expires_at is null) or epoch < 0 or holder is not null and epoch = 0
   or expires_at > clock_timestamp() + interval '1 day'
order by name, version, partition limit %(places)s
"""


def _projection(row: Row) -> str:
    return f"projection {row['name']}, version {row['version']}, partition {row['partition']}"


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


CHECKS: Final = (
    Check("checkpoints", "Is no projection ahead of the log?", _CHECKPOINTS, judge_checkpoints),
    Check("leases", "Can every lease expire?", _LEASES, judge_leases),
)
