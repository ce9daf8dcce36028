"""Carries out cancels: every submission that only cancelled jobs want, as far as nobody may have clicked.

It looks at what jobs have, not at their plans, so that it also finds what a planner requested while the
cancel came in. What is past its permit stays; if it fails and would be retried, the next round finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.domain import attempts
from services.domain.submission import Submission
from services.projections.job_progress import submissions_to_cancel
from services.runtime.ledger import Why
from services.scheduler.turns import give_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.projections.job_progress import ToCancel
    from services.runtime.ledger import Ledger

PER_ROUND_MAX: Final = 500


class Canceller:
    """Cancels submissions of cancelled jobs."""

    def __init__(self, ledger: Ledger, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._ledger = ledger
        self._pool = pool

    async def run_once(self) -> bool:
        """Cancel what may be cancelled; True when there may be more."""
        async with self._pool.connection() as connection:
            found = await submissions_to_cancel(connection, PER_ROUND_MAX)
        cancelled = await give_turns(found, self._cancel)
        return any(cancelled) and len(found) == PER_ROUND_MAX

    async def _cancel(self, found: ToCancel) -> bool:
        closed = frozenset(found.closed_jobs)

        def decide(state: Submission) -> Sequence[Message] | None:
            # A job that joined since is not among the closed ones, and keeps the submission alive.
            jobs_open = sum(each not in closed for each in state.jobs)
            return attempts.cancel(state, str(found.job_id), jobs_open)

        known = Submission(submission_id=str(found.submission_id), customer_id=str(found.customer_id))
        change = await self._ledger.change_submission(known, decide, Why(correlation_id=found.job_id))
        return change.done
