"""Checks of the server: durable settings, nothing old that holds vacuum back, nobody who blocks appends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Rows

#: What must be on, and how bad it is when it is not.
_MUST_BE_ON: Final = {
    "fsync": (Severity.WRONG, "a power cut destroys the database"),
    "full_page_writes": (Severity.WRONG, "a power cut in the middle of a page destroys it"),
    "synchronous_commit": (Severity.ADVICE, "appends wait for the disk all the same; nothing else does"),
    "data_checksums": (Severity.ADVICE, "a page that the disk spoiled is read as if it were good"),
}

_SETTINGS: Final = """
select name, setting, 'the server' as scope from pg_settings
where name in ('fsync', 'full_page_writes', 'data_checksums')
   or name in ('zero_damaged_pages', 'ignore_checksum_failure') and setting = 'on'
union all
select 'synchronous_commit', reset_val, 'the server or this database' from pg_settings
where name = 'synchronous_commit'
union all
select split_part(c, '=', 1), split_part(c, '=', 2),
       concat_ws(', ', 'role ' || s.setrole::regrole::text,
                 case when s.setdatabase <> 0 then 'this database' end)
from pg_db_role_setting s cross join lateral unnest(s.setconfig) as c
where s.setrole <> 0 and split_part(c, '=', 1) = 'synchronous_commit'
  and (s.setdatabase = 0 or s.setdatabase = (select oid from pg_database where datname = current_database()))
order by 1, 3
"""
_OLD: Final = """
select 'session ' || pid || coalesce(' of ' || usename, '') as who,
       round(extract(epoch from clock_timestamp() - xact_start)) as age_seconds,
       format('select pg_terminate_backend(%%s), once you know what it does', pid) as to_do
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => %(old_seconds)s)
  and (backend_xmin is not null or backend_xid is not null) and pid <> pg_backend_pid()
  and backend_type <> 'autovacuum worker'
union all
select 'prepared transaction ' || gid, round(extract(epoch from clock_timestamp() - prepared)),
       format('rollback prepared %%L, or commit it', gid)
from pg_prepared_xacts
where prepared < clock_timestamp() - make_interval(secs => %(old_seconds)s)
union all
select 'replication slot ' || slot_name, null,
       format('connect its subscriber, or select pg_drop_replication_slot(%%L)', slot_name)
from pg_replication_slots where not active
order by 1
"""
_BLOCKERS: Final = """
select a.pid, coalesce(a.usename, '') as who, a.state,
       case when l.objid = 4294967295 then -1 else l.objid::bigint end as lane
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.classid = 25971 and l.objsubid = 2 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.objid = 4294967295 or l.objid < 1024) and a.state like 'idle%%'
  and a.state_change < clock_timestamp() - make_interval(secs => %(idle_seconds)s)
order by a.pid
"""
_BLOAT: Final = """
select relid::regclass::text as table_name, n_dead_tup as dead, n_live_tup as live from pg_stat_user_tables
where schemaname = 'es' and relname in ('stream_head', 'projection', 'lane')
  and n_dead_tup > greatest(%(dead_rows)s, n_live_tup)
order by 1
"""


def judge_settings(rows: Rows) -> Iterator[Finding]:
    """Find settings under which what was acknowledged can be lost."""
    for row in rows:
        name, setting = row["name"], row["setting"]
        if name not in _MUST_BE_ON:
            yield Finding(
                f"{name} is on: damage is passed over in silence",
                row["scope"],
                f"alter system reset {name}; select pg_reload_conf()",
            )
        elif setting == "off":
            severity, consequence = _MUST_BE_ON[name]
            way = "pg_checksums --enable" if name == "data_checksums" else f"set {name} = on"
            yield Finding(f"{name} is off: {consequence}", row["scope"], f"{way}, and restart", severity)


def judge_old(rows: Rows) -> Iterator[Finding]:
    """Find what keeps dead rows from being cleaned up."""
    for row in rows:
        age = f"open for {row['age_seconds']} s" if row["age_seconds"] is not None else "nobody reads it"
        yield Finding(
            f"{age}: what has died since cannot be cleaned up", row["who"], row["to_do"], Severity.ADVICE
        )


def judge_blockers(rows: Rows) -> Iterator[Finding]:
    """Find sessions that hold a lane's lock and do nothing."""
    for row in rows:
        yield Finding(
            f"session {row['pid']} of {row['who']} holds the lane's lock and is {row['state']}: appends wait",
            f"lane {row['lane']}",
            f"select pg_terminate_backend({row['pid']}); only the store's functions may take this lock",
        )


def judge_bloat(rows: Rows) -> Iterator[Finding]:
    """Find small busy tables that are mostly dead rows."""
    for row in rows:
        yield Finding(
            f"{row['dead']} dead rows beside {row['live']} live ones",
            row["table_name"],
            f"vacuum {row['table_name']}; if it does not help, see `old transactions`",
            Severity.ADVICE,
        )


CHECKS: Final = (
    Check("settings", "Is what was acknowledged safe from a power cut?", _SETTINGS, judge_settings),
    Check("old transactions", "Does nothing old hold vacuum back?", _OLD, judge_old),
    Check("append lock", "Does nobody sit on a lane's lock?", _BLOCKERS, judge_blockers),
    Check("bloat", "Are the busy tables free of dead rows?", _BLOAT, judge_bloat),
)
