"""Checks of the log itself: no position is missing, time never goes back, the chain fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Lanes, in_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Row, Rows

_HOLES: Final = in_scope("""
, numbered as (
  select e.lane, e.position, lag(e.position, 1, s.since) over (order by e.position) as previous
  from scope s join es.event e on e.lane = s.lane and e.position > s.since
)
select lane, previous + 1 as first, position - 1 as last from numbered
where position <> previous + 1 order by position limit %(places)s
""")
_PULSE_HOLES: Final = in_scope("""
, numbered as (
  select s.lane, p.position, lag(p.position, 1, s.since) over (order by p.position) as previous
  from scope s join es.pulse p on p.position > s.since
)
select lane, previous + 1 as first, position - 1 as last from numbered
where position <> previous + 1 order by position limit %(places)s
""")
_TIMES: Final = in_scope("""
, timed as (
  select e.lane, e.position, e.recorded_at,
         lag(e.recorded_at) over (order by e.position) as previous
  from scope s join es.event e on e.lane = s.lane and e.position > s.since
)
select lane, position, recorded_at, previous from timed
where recorded_at < previous order by lane, position limit %(places)s
""")
#: The newest two thousand links of each lane, and twenty stretches of a hundred anywhere below.
_CHAIN: Final = in_scope("""
, stretch as (
  select 0 as number, lane, greatest(head - 2000, since) as after, head as until from scope
  union all
  select number, lane, start, start + 100
  from scope cross join lateral (
    select i as number, since + floor(random() * (head - since))::bigint as start
    from generate_series(1, 20) i
  ) as random_start
), linked as (
  select e.lane, e.position, e.hash,
         lag(e.hash) over in_order as previous, lag(e.position) over in_order as previous_position,
         es.leaf_v1(e.position, e.lane, e.recorded_at, e.event_id, e.stream_id, e.version, e.schema_version,
                    e.tenant, e.correlation_id, e.causation_id, c.name, t.name, e.trace_parent, e.actor,
                    e.payload) as leaf
  from stretch s
  join es.event e on e.lane = s.lane and e.position >= s.after and e.position <= s.until
  left join es.category c on c.id = e.category
  left join es.event_type t on t.id = e.event_type
  window in_order as (partition by s.number order by e.position)
)
select distinct lane, position from linked
where hash is distinct from
      sha256(case when position = 1 then decode(repeat('00', 32), 'hex') else previous end || leaf)
  and (previous_position = position - 1 or position = 1)
order by lane, position limit %(places)s
""")


def place(row: Row) -> str:
    """Return where a row points to, as people write it."""
    return f"lane {row['lane']}, position {row['position']}"


def judge_holes(rows: Rows) -> Iterator[Finding]:
    """Find positions that are missing."""
    for row in rows:
        first, last = row["first"], row["last"]
        missing = f"position {first} is" if first == last else f"positions {first} to {last} are"
        yield Finding(
            f"{missing} missing: events were destroyed",
            f"lane {row['lane']}, position {first}",
            "stop what writes, keep the database as it is, and restore from a backup that has them",
        )


def judge_times(rows: Rows) -> Iterator[Finding]:
    """Find events that claim to be older than their predecessor."""
    for row in rows:
        yield Finding(
            f"recorded at {row['recorded_at']}, before its predecessor at {row['previous']}",
            place(row),
            "the row was changed by hand: compare it with a backup or an export",
        )


def judge_chain(rows: Rows) -> Iterator[Finding]:
    """Find links that do not fit; the first one tells where to look."""
    for row in rows:
        yield Finding(
            "the hash does not fit the event and its predecessor: one of the two was altered",
            place(row),
            "run `python -m eventstore verify`, and compare the event with a backup or an export",
        )


CHECKS: Final = (
    Check("positions", "Is no position missing?", _HOLES, judge_holes, Lanes.LEDGER),
    Check("pulses", "Is no pulse missing?", _PULSE_HOLES, judge_holes, Lanes.PULSES),
    Check("times", "Does recorded time never go back?", _TIMES, judge_times, Lanes.LEDGER),
    Check("chain", "Does each event's hash fit (sampled)?", _CHAIN, judge_chain, Lanes.LEDGER),
)
