"""Checks of log seals: chained without a gap, of this log, and keeping up with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Rows

_SEALS: Final = """
with ordered as (
  select lane, number, from_position, to_position, end_hash, log_id,
         lag(number, 1, 0::bigint) over in_order + 1 as expected_number,
         lag(to_position, 1, 0::bigint) over in_order + 1 as expected_from
  from es.log_seal
  window in_order as (partition by lane order by number)
)
select o.lane, o.number, o.from_position as position, o.expected_number, o.expected_from,
       o.log_id <> i.log_id as foreign_log, e.hash <> o.end_hash as hash_differs
from ordered o
cross join es.log_identity i
left join es.event e on e.lane = o.lane and e.position = o.to_position
where o.number <> o.expected_number or o.from_position <> o.expected_from or o.log_id <> i.log_id
   or e.hash <> o.end_hash
order by o.lane, o.number limit %(places)s
"""
_KEEPING_UP: Final = """
select l.lane, s.to_position is null as never, e.position,
       round(extract(epoch from clock_timestamp() - e.recorded_at)) as age_seconds
from es.lane l
left join lateral (
  select to_position from es.log_seal where lane = l.lane order by number desc limit 1
) s on true
join lateral (
  select position, recorded_at from es.event
  where lane = l.lane and position > coalesce(s.to_position, 0) order by position limit 1
) e on true
where l.lane >= 0 and e.recorded_at < clock_timestamp() - make_interval(
  secs => case when s.to_position is null then %(old_seconds)s else %(seal_seconds)s end)
order by l.lane
"""


def judge_seals(rows: Rows) -> Iterator[Finding]:
    """Find log seals that do not continue one another, or do not fit the log."""
    for row in rows:
        if row["foreign_log"]:
            said = "it belongs to another log"
        elif row["hash_differs"]:
            said = "its end is not the event that stands there"
        elif row["number"] != row["expected_number"]:
            said = f"log seal {row['expected_number']} is missing before it"
        else:
            said = f"it begins at {row['position']}, and the one before ends at {row['expected_from'] - 1}"
        yield Finding(
            said,
            f"lane {row['lane']}, log seal {row['number']}",
            "run `python -m eventstore verify` with the seals kept outside; find out who changed es.log_seal",
        )


def judge_keeping_up(rows: Rows) -> Iterator[Finding]:
    """Find lanes that nobody seals any more, or never did."""
    for row in rows:
        waits = f"the event here has waited {row['age_seconds']} s for a log seal"
        yield Finding(
            "nothing was ever sealed: whoever owns the database could rewrite the log"
            if row["never"]
            else waits,
            f"lane {row['lane']}, position {row['position']}",
            "see that a log sealer runs, or run `python -m eventstore log-seals make`",
            Severity.ADVICE if row["never"] else Severity.WRONG,
        )


CHECKS: Final = (
    Check("log seals", "Do log seals continue one another?", _SEALS, judge_seals),
    Check("sealing", "Is the log sealed up to now?", _KEEPING_UP, judge_keeping_up),
)
