"""What limits dispatch: how many slots the workers have, and how gently each directory must be treated."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from directorybolt.directory.v1 import directory_pb2

from services.domain.events import read, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from directorybolt.event.v1 import pulse_events_pb2, system_events_pb2
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.projections.work import Step

#: What a directory gets that the catalogue says nothing about.
ATTEMPTS_AT_ONCE_DEFAULT: Final = 1
GAP_DEFAULT: Final = timedelta(seconds=1.5)

_SAVE_WORKERS: Final[LiteralString] = """
insert into worker (worker_id, slots, draining, last_pulse_at)
select worker_id, slots, false, last_pulse_at
from jsonb_populate_recordset(null::worker, %s::jsonb)
on conflict (worker_id) do update
set slots = excluded.slots, draining = excluded.draining, last_pulse_at = excluded.last_pulse_at,
    ended_at = null
"""
_END: Final[LiteralString] = """
update worker w set ended_at = n.at
from unnest(%s::text[], %s::timestamptz[]) as n(worker_id, at)
where w.worker_id = n.worker_id
"""
_NOTE_PULSES: Final[LiteralString] = """
insert into worker_pulse as known (worker_id, slots, draining, pulsed_at)
select worker_id, slots, draining, pulsed_at
from jsonb_populate_recordset(null::worker_pulse, %s::jsonb)
on conflict (worker_id) do update
set slots = excluded.slots, draining = excluded.draining, pulsed_at = excluded.pulsed_at
where known.pulsed_at < excluded.pulsed_at
"""
_SAVE_DIRECTORIES: Final[LiteralString] = """
insert into directory (directory_id, state, authority, attempts_at_once_max, gap_seconds)
select directory_id, state, authority, attempts_at_once_max, gap_seconds
from jsonb_populate_recordset(null::directory, %s::jsonb)
on conflict (directory_id) do update
set state = excluded.state, authority = excluded.authority,
    attempts_at_once_max = excluded.attempts_at_once_max, gap_seconds = excluded.gap_seconds
"""
_SAVE_STARTS: Final[LiteralString] = """
insert into directory_start (directory_id, last_started_at)
select directory_id, last_started_at
from unnest(%s::text[], %s::timestamptz[]) as n(directory_id, last_started_at)
on conflict (directory_id) do update
set last_started_at = greatest(directory_start.last_started_at, excluded.last_started_at)
"""

#: Directories that a form can be sent to, or that nobody has looked at yet.
_CHOSEN: Final[LiteralString] = """
select directory_id from scheduler.directory
where state = any(%s) and directory_id <> all(%s)
order by authority desc, directory_id limit %s
"""
_CHOOSABLE: Final = (
    directory_pb2.DIRECTORY_STATE_SUBMITTABLE,
    directory_pb2.DIRECTORY_STATE_UNPROBED,
)

Columns = dict[str, object]


@dataclass(slots=True)
class CapacityChanges:
    """What a batch of events does to workers and directories, by their ids."""

    workers: dict[str, Columns] = field(default_factory=dict[str, Columns])
    ended: dict[str, datetime] = field(default_factory=dict["str", "datetime"])
    pulses: dict[str, Columns] = field(default_factory=dict[str, Columns])
    directories: dict[str, Columns] = field(default_factory=dict[str, Columns])
    starts: dict[str, datetime] = field(default_factory=dict["str", "datetime"])


def capacity_changes(steps: Iterable[Step], events: Iterable[StoredEvent]) -> CapacityChanges:
    """Return what these events do to the capacity.

    A worker's pulses have a table of their own: they may be read before its start, or after its end.
    """
    changes = CapacityChanges()
    for stored in events:
        record = _RECORDERS.get(stored.event_type)
        if record:
            record(changes, stored)
    for step in steps:
        if type_of(step.event) in {"SubmissionDispatched", "SubmissionClaimed"}:
            changes.starts[step.after.state.directory_id] = step.stored.recorded_at
    return changes


def _started(changes: CapacityChanges, stored: StoredEvent) -> None:
    fact = cast("system_events_pb2.WorkerStarted", read(stored))
    changes.ended.pop(fact.worker_id, None)
    changes.workers[fact.worker_id] = {
        "worker_id": fact.worker_id,
        "slots": fact.slots,
        "last_pulse_at": stored.recorded_at,
    }


def _pulsed(changes: CapacityChanges, stored: StoredEvent) -> None:
    fact = cast("pulse_events_pb2.WorkerPulse", read(stored))
    changes.pulses[fact.worker_id] = {
        "worker_id": fact.worker_id,
        "slots": fact.slots,
        "draining": fact.draining,
        "pulsed_at": stored.recorded_at,
    }


def _ended(changes: CapacityChanges, stored: StoredEvent) -> None:
    fact = cast("system_events_pb2.WorkerStopped", read(stored))
    changes.ended[fact.worker_id] = stored.recorded_at


def _catalogued(changes: CapacityChanges, stored: StoredEvent) -> None:
    fact = cast("system_events_pb2.DirectoryCatalogued", read(stored))
    entry = fact.directory
    politeness = entry.politeness
    gap = politeness.gap_min.ToTimedelta() if politeness.HasField("gap_min") else GAP_DEFAULT
    directory_id = entry.name.removeprefix("directories/")
    changes.directories[directory_id] = {
        "directory_id": directory_id,
        "state": entry.state,
        "authority": entry.authority,
        "attempts_at_once_max": politeness.attempts_at_once_max or ATTEMPTS_AT_ONCE_DEFAULT,
        "gap_seconds": gap.total_seconds(),
    }


_RECORDERS: Final = {
    "WorkerStarted": _started,
    "WorkerPulse": _pulsed,
    "WorkerStopped": _ended,
    "WorkerLost": _ended,
    "DirectoryCatalogued": _catalogued,
}


async def apply_capacity(
    connection: AsyncConnection, steps: Sequence[Step], events: Sequence[StoredEvent]
) -> None:
    """Bring the workers and directories up to a batch of events."""
    changes = capacity_changes(steps, events)
    await _write(connection, _SAVE_WORKERS, changes.workers)
    if changes.ended:
        await connection.execute(_END, [list(changes.ended), list(changes.ended.values())])
    await _write(connection, _NOTE_PULSES, changes.pulses)
    await _write(connection, _SAVE_DIRECTORIES, changes.directories)
    if changes.starts:
        await connection.execute(_SAVE_STARTS, [list(changes.starts), list(changes.starts.values())])


async def _write(connection: AsyncConnection, statement: LiteralString, rows: Mapping[str, Columns]) -> None:
    if rows:
        await connection.execute(statement, [json.dumps(list(rows.values()), default=str)])


async def choose_directories(
    connection: AsyncConnection[Any], *, without: Sequence[str], limit: int
) -> Sequence[str]:
    """Return directories that can be submitted to, those of the highest authority first."""
    cursor = await connection.execute(_CHOSEN, [list(_CHOOSABLE), list(without), limit])
    return [directory_id for (directory_id,) in await cursor.fetchall()]
