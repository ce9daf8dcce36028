"""Takes one lease away on request: what the monitor does when the reaper did not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from services.domain import attempts
from services.domain.errors import SubmissionNotFound
from services.domain.retry_policy import Chance
from services.projections.leases import silence_of
from services.runtime.ledger import Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.domain.submission import Submission
    from services.projections.reading import Reads
    from services.runtime.clock import Clock
    from services.runtime.ledger import Change, Ledger


class Rescue:
    """Reaps by claim version: a lease that is not the current one any more is left alone."""

    def __init__(
        self, ledger: Ledger, reads: Reads, clock: Clock, *, draw: Callable[[], float], retry_scale: float
    ) -> None:
        self._ledger = ledger
        self._reads = reads
        self._clock = clock
        self._draw = draw
        self._retry_scale = retry_scale

    async def reap(self, submission_id: UUID, claim_version: int) -> Change[Submission]:
        """Take the lease away; asked twice, the second time does nothing.

        Errors: SubmissionNotFound.
        """
        state = await self._ledger.submission(str(submission_id))
        if state.version == 0:
            raise SubmissionNotFound(submission=str(submission_id))
        async with self._reads.of_all() as connection:
            silent = await silence_of(connection, submission_id, claim_version) or timedelta(0)
        now, chance = self._clock.now(), Chance(self._draw(), self._retry_scale)
        return await self._ledger.change_submission(
            state,
            lambda current: attempts.reap(current, claim_version, silent, now, chance),
            Why(UUID(state.jobs[0])),
        )
