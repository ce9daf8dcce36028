"""Turns an accepted job into submissions: one per directory, shared with other jobs where they overlap.

Every step can be broken off and done again: what is requested twice meets itself under the same stream and
event ids, what was requested before is taken over, and the plan is recorded last and once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog
from directorybolt.event.v1 import job_events_pb2, submission_events_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.errors import WrongExpectedVersion
from eventstore.types import NO_STREAM
from services.domain import attempts, identity, job
from services.domain.packages import TERMS
from services.domain.retry_policy import ATTEMPTS_MAX
from services.projections.capacity import choose_directories
from services.projections.job_progress import jobs_to_plan, requested_so_far
from services.runtime.ledger import JOB, Why, job_stream, submission_stream
from services.runtime.telemetry import JOB_ID, start_leg
from services.scheduler.generations import Fit, fit
from services.scheduler.turns import give_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.domain.job import Job
    from services.domain.kinds import Priority
    from services.domain.submission import Submission
    from services.projections.job_progress import JobRow
    from services.runtime.clock import Clock
    from services.runtime.config import TraceMode
    from services.runtime.ledger import Ledger

    Planned = job_events_pb2.PlannedSubmission

JOBS_PER_ROUND_MAX: Final = 20
#: Directories of one job that are requested side by side: enough to fill a commit, not the whole queue.
DIRECTORIES_AT_ONCE_MAX: Final = 50
JOBS_AT_ONCE_MAX: Final = 4

_log = structlog.stdlib.get_logger(__name__)


class Planner:
    """Plans jobs, oldest first."""

    def __init__(
        self,
        ledger: Ledger,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        trace_mode: TraceMode,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._clock = clock
        self._trace_mode: TraceMode = trace_mode

    async def run_once(self) -> bool:
        """Plan the jobs that wait; True when there may be more."""
        async with self._pool.connection() as connection:
            waiting = await jobs_to_plan(connection, JOBS_PER_ROUND_MAX)
        planned = await give_turns(waiting, self._plan, at_once_max=JOBS_AT_ONCE_MAX)
        return any(planned) and len(waiting) == JOBS_PER_ROUND_MAX

    async def _plan(self, row: JobRow) -> bool:
        with start_leg(
            "scheduler.plan",
            origin=row.trace_parent,
            mode=self._trace_mode,
            attributes={JOB_ID: str(row.job_id)},
        ):
            state = await self._ledger.job(str(row.job_id))
            if state.finished or state.planned:
                return False
            known, wanted = await self._directories(state)
            if not known and not wanted:
                # Nothing to choose from yet: the catalogue may come; the stale-job alert says so otherwise.
                _log.debug("planner.no_directories", job_id=state.job_id)
                return False
            submissions = [*known, *await self._place_all(state, wanted)]
            return await self._record(state, submissions)

    async def _directories(self, state: Job) -> tuple[Sequence[Planned], Sequence[str]]:
        """Return what the job has already, from a plan that was broken off, and what it lacks."""
        async with self._pool.connection() as connection:
            known = await requested_so_far(connection, UUID(state.job_id))
            taken = [each.directory_id for each in known]
            if state.state == job_pb2.JOB_STATE_CANCELLING:
                return known, ()
            if state.directory_ids:
                asked = dict.fromkeys(state.directory_ids)
                return known, [each for each in asked if each not in taken]
            lacking = max(0, TERMS[state.package].directories_max - len(taken))
            return known, await choose_directories(connection, without=taken, limit=lacking)

    async def _place_all(self, state: Job, directory_ids: Sequence[str]) -> Sequence[Planned]:
        async def place(directory_id: str) -> Planned:
            return await self._place(state, directory_id)

        return await give_turns(directory_ids, place, at_once_max=DIRECTORIES_AT_ONCE_MAX)

    async def _place(self, state: Job, directory_id: str) -> Planned:
        """Request the submission, or join the one that is there."""
        generation = 1
        while True:
            submission_id = identity.submission_id_for(state.profile_id, directory_id, generation)
            found = await self._ledger.submission(str(submission_id))
            match fit(found, state.job_id, self._clock.now()):
                case Fit.SPENT:
                    generation += 1
                    continue
                case Fit.ABSENT:
                    done = await self._request(state, directory_id, generation)
                case Fit.SHARED:
                    done = await self._join(state, found)
                case Fit.OWN:
                    done = True
            if done:
                return job_events_pb2.PlannedSubmission(
                    submission_id=str(submission_id),
                    directory_id=directory_id,
                    generation=generation,
                    joined=found.version > 0 and found.jobs[0] != state.job_id,
                )

    async def _request(self, state: Job, directory_id: str, generation: int) -> bool:
        """Begin the submission's stream; False when somebody else did."""
        submission_id = str(identity.submission_id_for(state.profile_id, directory_id, generation))
        request = submission_events_pb2.SubmissionRequested(
            submission_id=submission_id,
            customer_id=state.customer_id,
            profile_id=state.profile_id,
            profile_version=state.profile_version,
            directory_id=directory_id,
            generation=generation,
            job_id=state.job_id,
            priority=_priority(state),
            attempts_max=ATTEMPTS_MAX,
        )
        stream = submission_stream(submission_id, state.customer_id)
        event_id = identity.event_id_for("request", state.job_id, submission_id)
        try:
            await self._ledger.append(stream, [request], NO_STREAM, _why(state), [event_id])
        except WrongExpectedVersion:
            return False
        return True

    async def _join(self, state: Job, found: Submission) -> bool:
        """Share the submission; False when it is not to be shared any more."""
        joining = submission_events_pb2.SubmissionJoined(job_id=state.job_id, priority=_priority(state))

        def decide(current: Submission) -> Sequence[Message] | None:
            shared = fit(current, state.job_id, self._clock.now()) is Fit.SHARED
            return attempts.join(current, joining) if shared else None

        return (await self._ledger.change_submission(found, decide, _why(state))).done

    async def _record(self, state: Job, submissions: Sequence[Planned]) -> bool:
        change = await self._ledger.change(
            JOB,
            job_stream(state.job_id, state.customer_id),
            lambda current: job.plan(current, submissions),
            _why(state),
        )
        return change.done


def _priority(state: Job) -> Priority:
    return state.priority or TERMS[state.package].priority


def _why(state: Job) -> Why:
    return Why(correlation_id=UUID(state.job_id))
