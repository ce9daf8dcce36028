"""Checks of partitions: contiguous, as recorded, one ahead, each guarded like the log itself."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding
from eventstore.care.intended import guarded_by, policies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventstore.care.check import Row, Rows
    from eventstore.migrate import Migration

_FLOORS: Final = """
with head as (
  select l.lane, case when l.lane >= 0 then 'event' else 'pulse' end as log, l.floor,
         case when l.lane >= 0
              then (select e.position from es.event e where e.lane = l.lane order by e.position desc limit 1)
              else (select max(p.position) from es.pulse p) end as position
  from es.lane l
)
select h.lane, h.floor, h.position, p.from_position as expected
from head h
left join es.partition p
  on p.log = h.log and h.position >= p.from_position and h.position < p.to_position
where h.floor <> coalesce(p.from_position, h.floor) or h.position is null and h.floor > 1
order by h.lane
"""
_AHEAD: Final = """
with head as (
  select 'event' as log, coalesce(max(position), 0) as position from es.event
  union all
  select 'pulse', coalesce(max(position), 0) from es.pulse
)
select h.log, h.position, max(p.from_position) as from_position, max(p.to_position) as to_position
from head h left join es.partition p on p.log = h.log
group by h.log, h.position
having coalesce(max(p.from_position), 0) <= h.position
order by h.log
"""
_BOUNDS: Final = """
with attached as (
  select p.relname as log, c.relname as name,
         (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''?(\\d+)'))[1]::bigint as from_position,
         (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''?(\\d+)'))[1]::bigint as to_position
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  join pg_class p on p.oid = i.inhparent
  where p.oid in ('es.event'::regclass, 'es.pulse'::regclass) and c.relkind = 'r'
)
select coalesce(r.log, a.log) as log, coalesce(r.from_position, a.from_position) as from_position,
       r.to_position as recorded_to, a.to_position as attached_to
from es.partition r full join attached a on a.log = r.log and a.from_position = r.from_position
order by 1, 2
"""
_GUARDS: Final = """
select c.oid::regclass::text as table_name, c.relname ~ '^(event|pulse)_from_[0-9]+$' as is_partition
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'es' and c.relkind in ('r', 'p') and not exists (
  select from pg_trigger t
  where t.tgrelid = c.oid and t.tgname = 'append_only' and t.tgenabled = 'A' and t.tgqual is null
    and t.tgfoid = to_regproc('es.refuse_change_v1')
    and t.tgtype & 56 = 56 and t.tgtype & 1 = 0 and t.tgtype & 2 = 2
)
order by 1
"""
_INDEXES: Final = """
select c.relname as table_name
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'es.event'::regclass and not exists (
  select from pg_index x
  where x.indrelid = c.oid and x.indisunique and x.indisvalid and x.indpred is null
    and pg_get_indexdef(x.indexrelid) like '%%(stream_id, version)'
)
order by 1
"""
_ROW_SECURITY: Final = """
select c.oid::regclass::text as table_name, c.relrowsecurity and c.relforcerowsecurity as enforced,
       array(select p.polname::text from pg_policy p where p.polrelid = c.oid) as policies
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'es' and c.relkind in ('r', 'p')
order by 1
"""


def judge_floors(rows: Rows) -> Iterator[Finding]:
    """Find lanes whose floor is not the start of the partition that holds their last event."""
    for row in rows:
        if row["position"] is None:
            said = f"nothing stands in the lane, but its floor is {row['floor']}: a partition was lost"
            to_do = "restore the lost partition from a backup"
        else:
            said = f"the floor is {row['floor']}, but the last event lies beyond, from {row['expected']}"
            to_do = f"as es_owner, set floor = {row['expected']} where lane = {row['lane']} in es.lane"
        yield Finding(said, f"lane {row['lane']}", to_do)


def judge_ahead(rows: Rows) -> Iterator[Finding]:
    """Find logs that no empty partition waits for."""
    for row in rows:
        yield Finding(
            f"no empty partition is ahead; appends stop at position {row['to_position']}",
            f"es.{row['log']}, position {row['position']}",
            f"find who locks es.{row['log']} (pg_locks); then, as es_owner:"
            f" select es.create_partitions_ahead_v1('{row['log']}', {row['position']})",
        )


def judge_bounds(rows: Rows) -> Iterator[Finding]:
    """Find partitions that are missing, unknown, or leave a range out."""
    for row in rows:
        if row["attached_to"] is None:
            said = "the partition is recorded, and not attached to the log"
        elif row["recorded_to"] is None:
            said = "a partition is attached that es.partition does not know"
        elif row["attached_to"] != row["recorded_to"]:
            said = f"the partition ends at {row['attached_to']}, but is recorded to {row['recorded_to']}"
        else:
            continue
        yield _bound(row, said)
    # Whether the ledger's join is a matter of the archive, too: archives.py looks at it.
    pulses = [row for row in rows if row["log"] == "pulse" and row["recorded_to"] is not None]
    for before, row in pairwise(pulses):
        if row["from_position"] != before["recorded_to"]:
            yield _bound(row, f"the partition before it ends at {before['recorded_to']}")


def _bound(row: Row, said: str) -> Finding:
    return Finding(
        said,
        f"es.{row['log']}, partition from {row['from_position']}",
        "look for the table in the database and its backups; attach it, or record it, as it was",
    )


def judge_guards(guarded: frozenset[str], rows: Rows) -> Iterator[Finding]:
    """Find tables of history that could be changed."""
    for row in rows:
        name = row["table_name"]
        if not row["is_partition"] and name not in guarded:
            continue
        yield Finding(
            "the trigger append_only does not stand guard: history could be changed",
            name,
            f"find out who took it away; as es_owner: drop trigger if exists append_only on {name};"
            f" select es.make_append_only_v1('{name}'); then verify with --deep",
        )


def judge_indexes(rows: Rows) -> Iterator[Finding]:
    """Find partitions without their second defence against two events of the same version."""
    for row in rows:
        name = row["table_name"]
        yield Finding(
            "the unique index on (stream_id, version) is missing or invalid",
            f"es.{name}",
            f"as es_owner: create unique index {name}_stream on es.{name} (stream_id, version)",
        )


def judge_row_security(intended: Mapping[str, frozenset[str]], rows: Rows) -> Iterator[Finding]:
    """Find tables whose rows are not kept apart by tenant."""
    for row in rows:
        name = row["table_name"]
        if name in intended and not (row["enforced"] and intended[name] == frozenset(row["policies"])):
            yield Finding(
                "row security is not enforced as intended: a tenant could read another's rows",
                name,
                f"as es_owner: alter table {name} enable row level security, force row level security;"
                f" its policies must be {', '.join(sorted(intended[name]))}, as in eventstore/sql/tables",
            )


def checks(migrations: Sequence[Migration]) -> Sequence[Check]:
    """Return the checks of partitions, some of which compare them with what the migrations intend."""
    text = "\n".join(each.text for each in migrations)
    guards, security = partial(judge_guards, guarded_by(text)), partial(judge_row_security, policies_of(text))
    return (
        Check("floors", "Does each lane know the partition of its last event?", _FLOORS, judge_floors),
        Check("partitions ahead", "Waits an empty partition for each log?", _AHEAD, judge_ahead),
        Check("partitions", "Are partitions contiguous and as recorded?", _BOUNDS, judge_bounds),
        Check("append only", "Does every table of history refuse changes?", _GUARDS, guards),
        Check("unique versions", "Has each partition its unique index?", _INDEXES, judge_indexes),
        Check("row security", "Are tenants kept apart by the database?", _ROW_SECURITY, security),
    )
