"""Ends jobs whose submissions are all settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from directorybolt.job.v1 import job_pb2

from services.domain import identity, job
from services.projections.job_progress import jobs_to_finish, submission_states
from services.runtime.ledger import JOB, Why, job_stream
from services.runtime.telemetry import JOB_ID, start_leg
from services.scheduler.turns import give_turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.domain.job import Job
    from services.domain.kinds import State
    from services.projections.job_progress import JobRow
    from services.runtime.config import TraceMode
    from services.runtime.ledger import Ledger

PER_ROUND_MAX: Final = 100


class Completer:
    """Appends JobCompleted, or JobCancelled where a cancel was asked for."""

    def __init__(
        self, ledger: Ledger, pool: AsyncConnectionPool[AsyncConnection[Any]], trace_mode: TraceMode
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._trace_mode: TraceMode = trace_mode

    async def run_once(self) -> bool:
        """End what is over; True when there may be more."""
        async with self._pool.connection() as connection:
            jobs = await jobs_to_finish(connection, PER_ROUND_MAX)
            states = [await submission_states(connection, each.job_id) for each in jobs]
        ended = await give_turns(zip(jobs, states, strict=True), self._finish)
        return any(ended) and len(jobs) == PER_ROUND_MAX

    async def _finish(self, found: tuple[JobRow, Mapping[str, State]]) -> bool:
        row, states = found

        def decide(state: Job) -> Sequence[Message] | None:
            unknown = job_pb2.SUBMISSION_STATE_UNSPECIFIED
            return job.finish(state, [states.get(each.submission_id, unknown) for each in state.planned])

        with start_leg(
            "scheduler.complete",
            origin=row.trace_parent,
            mode=self._trace_mode,
            attributes={JOB_ID: str(row.job_id)},
        ):
            change = await self._ledger.change(
                JOB,
                job_stream(str(row.job_id), str(row.customer_id)),
                decide,
                Why(correlation_id=row.job_id),
                # One end per job, however many schedulers see it: the same event id meets itself.
                lambda state: [identity.event_id_for("job-ended", state.job_id)],
            )
        return change.done
