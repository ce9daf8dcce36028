"""The workers and their last signs of life. Owner: submitter.

The lanes are read against each other, so each has a table of its own; they are joined when they are read.
"""

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
insert into worker as w (worker_id, state, slots, browser, started_at, pulse_at, progress_at)
values (%(worker_id)s, 'running', %(slots)s, %(browser)s, %(at)s, %(at)s, %(at)s)
on conflict (worker_id) do update
set state = 'running', busy = 0, ended_at = null, slots = excluded.slots, browser = excluded.browser,
    started_at = excluded.started_at, pulse_at = greatest(w.pulse_at, excluded.pulse_at),
    progress_at = greatest(w.progress_at, excluded.progress_at)
"""
_PULSE: Final = """
insert into worker_pulse as known (worker_id, busy, slots, draining, pulsed_at, progress_at)
values (%(worker_id)s, %(busy)s, %(slots)s, %(draining)s, %(at)s, %(progress_at)s)
on conflict (worker_id) do update
set busy = excluded.busy, slots = excluded.slots, draining = excluded.draining,
    pulsed_at = excluded.pulsed_at, progress_at = excluded.progress_at
where known.pulsed_at <= excluded.pulsed_at
"""
_ENDED: Final = """
update worker set state = %(state)s, busy = 0, ended_at = %(at)s where worker_id = %(worker_id)s
"""
# A pulse older than the start says nothing about this life; one after a loss says that nothing was lost.
_SELECT: Final = """
select w.worker_id, heard.state, coalesce(p.busy, w.busy), coalesce(p.slots, w.slots), w.browser,
  w.started_at, coalesce(p.pulsed_at, w.pulse_at), coalesce(p.progress_at, w.progress_at)
from submitter.worker w
left join submitter.worker_pulse p
  on p.worker_id = w.worker_id and w.state <> 'stopped' and p.pulsed_at >= greatest(w.started_at, w.ended_at)
cross join lateral (
  select case p.draining when true then 'draining' when false then 'running' else w.state end as state
) as heard
where (%(ended)s or heard.state in ('running', 'draining'))
  and (%(worker_id)s = '' or w.worker_id = %(worker_id)s)
order by w.worker_id
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
    schema = "submitter"
    tables = ("worker", "worker_pulse")
    lanes = (LEDGER_LANE, PULSE_LANE)
    only = Filter(categories=frozenset({events.WORKER}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        async with connection.pipeline():
            for stored in page:
                change = change_of(stored)
                if change is not None:
                    await connection.execute(*change)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate worker, worker_pulse")


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
