"""Makes the checks one after the other, all on one snapshot, so that they see one and the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from psycopg import IsolationLevel
from psycopg.rows import class_row, dict_row

from eventstore.care import (
    archives,
    log_seals,
    partitions,
    positions,
    projections,
    rights,
    schema,
    server,
    stored_objects,
    streams,
    vault,
)
from eventstore.care.check import PLACES_MAX, Check, Finding, Lanes
from eventstore.care.whole_chain import whole_chain
from eventstore.connections import connect
from eventstore.migrate import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.migrate import Migration

CARE_ROLE: Final = "es_care"

_SCOPES: Final = """
with head as (
  select l.lane, coalesce(case when l.lane >= 0
           then (select e.position from es.event e where e.lane = l.lane order by e.position desc limit 1)
           else (select max(position) from es.pulse) end, 0) as head
  from es.lane l
)
select h.lane, h.head, greatest(h.head - %(depth)s::bigint, coalesce(
         (select min(p.from_position) - 1 from es.partition p
          where p.log = case when h.lane >= 0 then 'event' else 'pulse' end), 0)) as since
from head h order by h.lane
"""
_PREPARED: Final = """
select exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.rolname = %(role)s
  where n.nspname = 'es' and c.relname = 'migration' and has_table_privilege(r.oid, c.oid, 'select')
)
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far checks look: events before each head, rows per check, and what counts as old or many."""

    depth: int = 100_000
    places: int = PLACES_MAX
    old_seconds: int = 3_600
    dead_rows: int = 10_000
    seal_seconds: int = 300
    idle_seconds: int = 1


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a lane that is looked at: what comes after `since`."""

    lane: int
    head: int
    since: int


#: The whole log.
EVERYTHING: Final = Reach(depth=2**62)


@dataclass(frozen=True, slots=True)
class Examined:
    """One line of the checklist, filled in."""

    name: str
    question: str
    findings: Sequence[Finding]


def checklist(migrations: Sequence[Migration], *, deep: bool) -> Sequence[Check]:
    """Return the checks in the order in which they are made."""
    every = (
        *schema.checks(migrations),
        *positions.CHECKS,
        *streams.CHECKS,
        *partitions.checks(migrations),
        *archives.CHECKS,
        *log_seals.CHECKS,
        *projections.CHECKS,
        *rights.checks(migrations),
        *vault.CHECKS,
        *server.CHECKS,
    )
    return [each for each in every if deep or not each.deep]


async def examine(
    conninfo: str,
    *,
    deep: bool = False,
    reach: Reach | None = None,
    workers: int = 0,
    storage: ObjectStorage | None = None,
) -> AsyncIterator[Examined]:
    """Make every check and yield what it found; `deep` looks at the whole log and recomputes its chain.

    Shape: `workers` processes recompute the chain; 0: this one does. With `storage` it is asked for what the
    archive consists of.
    Errors: StoreUnavailable, psycopg.Error.
    """
    migrations = await asyncio.to_thread(load)
    reach = reach or (EVERYTHING if deep else Reach())
    connection = await connect(conninfo, None, "doctor")
    async with connection:
        await connection.execute("select set_config('statement_timeout', '0', false)")
        if not await _prepared(connection):
            yield _unprepared()
            return
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(value=True)
        async with connection.transaction():
            await connection.execute("select set_config('role', %s, true)", [CARE_ROLE])
            scopes = await _scopes(connection, reach)
            for check in checklist(migrations, deep=deep):
                examined = await _make(connection, check, reach, scopes[check.lanes])
                yield examined
                if check.name == schema.NAME and any(
                    each.what == schema.PENDING for each in examined.findings
                ):
                    return  # what the other checks ask for may not be there yet
            if storage is not None:
                found = await stored_objects.stored_objects(connection, storage)
                yield Examined(stored_objects.NAME, stored_objects.QUESTION, found)
    if deep:
        yield Examined("whole chain", "Does every event's hash fit?", await whole_chain(conninfo, workers))


async def _prepared(connection: AsyncConnection) -> bool:
    cursor = await connection.execute(_PREPARED, {"role": CARE_ROLE})
    return await cursor.fetchone() == (True,)


def _unprepared() -> Examined:
    finding = Finding(
        "the database has no event store, or an older one", "schema es", "run `python -m eventstore migrate`"
    )
    return Examined("migrations", "Is the schema this code's own?", [finding])


async def _scopes(connection: AsyncConnection, reach: Reach) -> Mapping[Lanes, Sequence[Scope]]:
    """Return what is looked at of each lane; one scope without a meaning for checks that know no lanes."""
    cursor = connection.cursor(row_factory=class_row(Scope))
    await cursor.execute(_SCOPES, {"depth": reach.depth})
    every = await cursor.fetchall()
    return {
        Lanes.NONE: [Scope(0, 0, 0)],
        Lanes.LEDGER: [each for each in every if each.lane >= 0],
        Lanes.PULSES: [each for each in every if each.lane < 0],
    }


async def _make(connection: AsyncConnection, check: Check, reach: Reach, scopes: Sequence[Scope]) -> Examined:
    # What sessions do is remembered for a transaction; here it has to be what they do now.
    await connection.execute("select pg_stat_clear_snapshot()")
    findings: list[Finding] = []
    for scope in scopes:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(check.query, {**asdict(reach), **asdict(scope)}, prepare=False)
        findings += check.judge(await cursor.fetchall())
    return Examined(check.name, check.question, findings)
