"""All that the scheduler decides by, kept in step: one projection, one checkpoint, several tables.

Work, leases, jobs and capacity follow from the same events and are read together; with a checkpoint each,
a job could be finished by one table and open by another. Owner: scheduler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter
from services.domain import events
from services.projections.capacity import apply_capacity
from services.projections.job_progress import apply_jobs
from services.projections.leases import apply_leases
from services.projections.work import apply_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

_CATEGORIES: Final = frozenset({events.JOB, events.SUBMISSION, events.WORKER, events.DIRECTORY})
_RESET: Final[LiteralString] = """
truncate work, lease, lease_pulse, job, job_submission, worker, worker_pulse, directory, directory_start
"""


class SchedulingProjection:
    """Keeps the tables of schema `scheduler`."""

    name = "scheduling"
    version = 1
    schema = "scheduler"
    tables = (
        "work",
        "lease",
        "lease_pulse",
        "job",
        "job_submission",
        "worker",
        "worker_pulse",
        "directory",
        "directory_start",
    )
    lanes = (LEDGER_LANE, PULSE_LANE)
    only = Filter(categories=_CATEGORIES)

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        steps = await apply_work(connection, page)
        await apply_leases(connection, steps, page)
        await apply_jobs(connection, steps, page)
        await apply_capacity(connection, steps, page)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute(_RESET)
