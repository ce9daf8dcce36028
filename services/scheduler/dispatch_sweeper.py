"""Puts back what was sent out and never claimed: a lost message, or a crash between append and send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from directorybolt.event.v1 import submission_events_pb2

from services.domain import attempts
from services.domain.submission import Submission
from services.projections.dispatch_queue import lost_dispatches
from services.runtime.ledger import Why
from services.scheduler.turns import give_turns

if TYPE_CHECKING:
    from datetime import timedelta

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.projections.dispatch_queue import LostDispatch
    from services.runtime.ledger import Ledger

PER_ROUND_MAX: Final = 200

_log = structlog.stdlib.get_logger(__name__)


class DispatchSweeper:
    """Defers dispatches that have waited for a claim longer than `patience`."""

    def __init__(
        self, ledger: Ledger, pool: AsyncConnectionPool[AsyncConnection[Any]], patience: timedelta
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._patience = patience

    async def run_once(self) -> bool:
        """Put back what is lost; never True: the next look is the next interval's."""
        async with self._pool.connection() as connection:
            lost = await lost_dispatches(connection, patience=self._patience, limit=PER_ROUND_MAX)
        await give_turns(lost, self._put_back)
        return False

    async def _put_back(self, lost: LostDispatch) -> None:
        known = Submission(submission_id=str(lost.submission_id), customer_id=str(lost.customer_id))
        reason = submission_events_pb2.DEFER_REASON_DISPATCH_LOST
        change = await self._ledger.change_submission(
            known,
            lambda state: attempts.defer(state, lost.dispatch_id, lost.now, reason),
            Why(correlation_id=lost.job_id),
        )
        if change.done:
            _log.warning("dispatch_sweeper.put_back", submission_id=known.submission_id)
