"""Checks of heads and keys: both are told by the events, and may contradict them nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Lanes, in_scope
from eventstore.care.positions import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Rows

_HEADS: Final = in_scope("""
, told as (
  select e.stream_id, e.lane, max(e.version) as version, min(e.position) as first_position,
         (array_agg(e.tenant))[1] as tenant, (array_agg(e.category))[1] as category, s.since
  from scope s join es.event e on e.lane = s.lane and e.position > s.since
  group by e.stream_id, e.lane, s.since
)
select t.stream_id, t.version, t.first_position as position, t.lane, h.version as head_version,
       h.stream_id is null as missing, h.version is distinct from t.version as version_differs,
       (h.tenant, h.category, h.lane) is distinct from (t.tenant, t.category, t.lane) as owner_differs,
       h.first_position > t.first_position
         or h.first_position > t.since and h.first_position <> t.first_position as first_differs
from told t left join es.stream_head h on h.stream_id = t.stream_id
where h.version is distinct from t.version
   or (h.tenant, h.category, h.lane) is distinct from (t.tenant, t.category, t.lane)
   or h.first_position > t.first_position
   or h.first_position > t.since and h.first_position <> t.first_position
order by t.first_position limit %(places)s
""")
_VERSIONS: Final = in_scope("""
, numbered as (
  select e.lane, e.position, e.stream_id, e.version,
         coalesce(lag(e.version) over (partition by e.stream_id order by e.position),
                  case when h.first_position > s.since then 0 end) as previous
  from scope s
  join es.event e on e.lane = s.lane and e.position > s.since
  join es.stream_head h on h.stream_id = e.stream_id
)
select lane, position, stream_id, version, previous from numbered
where version <> previous + 1 order by lane, position limit %(places)s
""")
_LONE_HEADS: Final = in_scope("""
select h.stream_id, h.version, h.lane, h.first_position as position
from es.stream_head h join scope s on s.lane = h.lane
where h.first_position > s.since
  and not exists (select from es.event e where e.lane = h.lane and e.position = h.first_position
                                           and e.stream_id = h.stream_id)
order by h.first_position limit %(places)s
""")
_KEYS: Final = in_scope("""
select e.lane, e.position, e.event_id, k.event_id is null as missing
from scope s
join es.event e on e.lane = s.lane and e.position > s.since
left join es.event_key k on k.event_id = e.event_id
where (k.lane, k.position, k.stream_id, k.version, k.recorded_at)
      is distinct from (e.lane, e.position, e.stream_id, e.version, e.recorded_at)
order by e.lane, e.position limit %(places)s
""")
_LONE_KEYS: Final = in_scope("""
select k.lane, k.position, k.event_id
from es.event_key k join scope s on s.lane = k.lane
where k.position > s.since
  and not exists (select from es.event e where e.lane = k.lane and e.position = k.position
                                           and e.event_id = k.event_id)
order by k.lane, k.position limit %(places)s
""")


def judge_heads(rows: Rows) -> Iterator[Finding]:
    """Find streams whose head says something else than their events."""
    for row in rows:
        stands = f"stream {row['stream_id']}: its last event has version {row['version']}"
        if row["missing"]:
            said = "there is no head"
        elif row["version_differs"]:
            said = f"its head says {row['head_version']}"
        elif row["owner_differs"]:
            said = "its head names another tenant, category or lane"
        else:
            said = "its head names another first position"
        yield Finding(
            f"{stands}, but {said}",
            place(row),
            "stop what appends to the stream, find out who changed es.stream_head, and restore its row",
        )


def judge_versions(rows: Rows) -> Iterator[Finding]:
    """Find versions that do not follow one another."""
    for row in rows:
        yield Finding(
            f"stream {row['stream_id']}: version {row['version']} follows version {row['previous']}",
            place(row),
            "an event was destroyed or altered: run `python -m eventstore verify`, then restore",
        )


def judge_lone_heads(rows: Rows) -> Iterator[Finding]:
    """Find heads whose first event is not where they say."""
    for row in rows:
        yield Finding(
            f"stream {row['stream_id']} begins here, says its head, but that event is missing",
            place(row),
            "the log was cut off, or an event destroyed: restore from a backup that has it",
        )


def judge_keys(rows: Rows) -> Iterator[Finding]:
    """Find events that a repeated append would not be recognised by."""
    for row in rows:
        wrong = "has no key" if row["missing"] else "stands differently in es.event_key"
        yield Finding(
            f"event {row['event_id']} {wrong}: sent again, it could be appended twice",
            place(row),
            "restore its row of es.event_key from the event, in a maintenance session as es_owner",
        )


def judge_lone_keys(rows: Rows) -> Iterator[Finding]:
    """Find acknowledged event ids without an event."""
    for row in rows:
        yield Finding(
            f"event {row['event_id']} was acknowledged at this position, and is not there",
            place(row),
            "the log was cut off, or an event destroyed: restore from a backup that has it",
        )


CHECKS: Final = (
    Check("heads", "Does each stream's head tell its last version?", _HEADS, judge_heads, Lanes.LEDGER),
    Check("versions", "Do versions follow one another?", _VERSIONS, judge_versions, Lanes.LEDGER),
    Check("lone heads", "Has each head its event?", _LONE_HEADS, judge_lone_heads, Lanes.LEDGER, deep=True),
    Check("keys", "Has each event its key?", _KEYS, judge_keys, Lanes.LEDGER),
    Check("lone keys", "Has each key its event?", _LONE_KEYS, judge_lone_keys, Lanes.LEDGER, deep=True),
)
