"""Takes leases away from workers that fell silent, and never from workers that only we could not hear.

Silence is judged by the database's clock, up to the moment that the read model covers in both lanes. After
an outage, ours or the database's, every lease has its full length again before anybody may call it silent.
The rescue is an append at the version that was read, so a result that came in between wins.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from services.domain import attempts
from services.domain.retry_policy import Chance
from services.domain.submission import Submission
from services.projections.checkpoints import snapshot
from services.projections.leases import silent_leases
from services.projections.scheduling import SchedulingProjection
from services.runtime.ledger import Why
from services.scheduler.turns import give_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.projections.leases import SilentLease
    from services.runtime.coverage import Coverage
    from services.runtime.ledger import Ledger

PER_ROUND_MAX: Final = 100

_log = structlog.stdlib.get_logger(__name__)


class LeaseReaper:
    """Reaps silent leases; `draw` gives a number in [0, 1) for the jitter of the retry."""

    def __init__(
        self,
        ledger: Ledger,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        coverage: Coverage,
        draw: Callable[[], float],
        retry_scale: float,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._coverage = coverage
        self._draw = draw
        self._retry_scale = retry_scale

    async def run_once(self) -> bool:
        """Reap what is silent; never True: the next look is the next interval's."""
        try:
            silent = await self._look()
        except Exception:
            self._coverage.lose()
            raise
        await give_turns(silent, self._reap)
        return False

    async def _look(self) -> Sequence[SilentLease]:
        model = SchedulingProjection
        async with self._pool.connection() as connection:
            # The checkpoint is read before the leases: what it covers, they show.
            seen = await snapshot(connection, model.name, model.version, model.lanes)
            covered_until = self._coverage.look(seen)
            if covered_until is None:
                return ()
            silent = await silent_leases(connection, covered_until, PER_ROUND_MAX)
        return [each for each in silent if self._coverage.grants(timedelta(seconds=each.lease_seconds))]

    async def _reap(self, lease: SilentLease) -> None:
        known = Submission(submission_id=str(lease.submission_id), customer_id=str(lease.customer_id))
        chance = Chance(self._draw(), self._retry_scale)
        change = await self._ledger.change_submission(
            known,
            lambda state: attempts.reap(state, lease.claim_version, lease.silent, lease.now, chance),
            Why(correlation_id=lease.job_id),
        )
        if change.done:
            _log.warning(
                "lease_reaper.reaped",
                submission_id=known.submission_id,
                worker_id=change.before.worker_id,
                silent_seconds=round(lease.silent.total_seconds(), 1),
            )
