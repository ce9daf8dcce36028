"""The workers and their last signs of life. Owner: submitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from directorybolt.event.v1 import pulse_events_pb2, system_events_pb2

from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter
from services.domain import events
from services.domain.submission import instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

_STARTED: Final = """
insert into submitter.worker as w (worker_id, state, slots, browser, started_at, pulse_at, progress_at)
values (%(worker_id)s, 'running', %(slots)s, %(browser)s, %(at)s, %(at)s, %(at)s)
on conflict (worker_id) do update
set state = 'running', busy = 0, ended_at = null, slots = excluded.slots, browser = excluded.browser,
    started_at = excluded.started_at, pulse_at = greatest(w.pulse_at, excluded.pulse_at),
    progress_at = greatest(w.progress_at, excluded.progress_at)
"""
# The lanes are read side by side: a pulse older than the start says nothing about this life.
_PULSE: Final = """
update submitter.worker
set busy = %(busy)s, slots = %(slots)s, pulse_at = %(at)s, progress_at = %(progress_at)s,
    state = case when %(draining)s then 'draining' else 'running' end, ended_at = null
where worker_id = %(worker_id)s and %(at)s >= greatest(started_at, pulse_at, ended_at)
  and state <> 'stopped'
"""
_ENDED: Final = """
update submitter.worker set state = %(state)s, busy = 0, ended_at = %(at)s where worker_id = %(worker_id)s
"""
_SELECT: Final = """
select worker_id, state, busy, slots, browser, started_at, pulse_at, progress_at
from submitter.worker
where (%(ended)s or state in ('running', 'draining')) and (%(worker_id)s = '' or worker_id = %(worker_id)s)
order by worker_id
limit 1000
"""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as last heard of; `state` is running, draining, stopped or lost."""

    worker_id: str
    state: str
    busy: int
    slots: int
    browser: str
    started_at: datetime
    pulse_at: datetime
    progress_at: datetime


class WorkersProjection:
    """Keeps one row per worker."""

    name = "workers"
    version = 1
    lanes = (LEDGER_LANE, PULSE_LANE)
    only = Filter(categories=frozenset({events.WORKER}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        for stored in page:
            change = change_of(stored)
            if change is not None:
                await connection.execute(*change)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate submitter.worker")


def change_of(stored: StoredEvent) -> tuple[LiteralString, Mapping[str, object]] | None:
    """Return the statement that an event stands for, with its values; None when it changes nothing."""
    fact = events.read(stored)
    match fact:
        case system_events_pb2.WorkerStarted():
            return _STARTED, {
                "worker_id": fact.worker_id,
                "slots": fact.slots,
                "browser": fact.browser,
                "at": stored.recorded_at,
            }
        case pulse_events_pb2.WorkerPulse():
            return _PULSE, {
                "worker_id": fact.worker_id,
                "busy": fact.busy,
                "slots": fact.slots,
                "draining": fact.draining,
                "progress_at": instant(fact.progress_time),
                "at": stored.recorded_at,
            }
        case system_events_pb2.WorkerStopped():
            return _ENDED, {"worker_id": fact.worker_id, "state": "stopped", "at": stored.recorded_at}
        case system_events_pb2.WorkerLost():
            return _ENDED, {"worker_id": fact.worker_id, "state": "lost", "at": stored.recorded_at}
        case _:
            return None


async def find_workers(
    connection: AsyncConnection[Any], *, ended: bool, worker_id: str = ""
) -> Sequence[WorkerRow]:
    """Return workers by name, at most 1,000; with `ended` also those that stopped or were lost."""
    cursor = await connection.execute(_SELECT, {"ended": ended, "worker_id": worker_id})
    return [WorkerRow(*cast("tuple[Any, ...]", row)) for row in await cursor.fetchall()]
