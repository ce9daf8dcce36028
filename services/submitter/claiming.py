"""From a message to a lease: the database decides, the message is only a hint.

A message whose dispatch is no longer the current one is done with. A directory that is busy puts the
submission back without costing an attempt. Only a recorded claim lets an attempt start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from directorybolt.event.v1 import submission_events_pb2 as facts

from services.domain import attempts
from services.domain.errors import SubmissionNotFound
from services.runtime.ledger import Why
from services.runtime.tables.directory_slots import Busy

if TYPE_CHECKING:
    from directorybolt.directory.v1.directory_pb2 import Directory

    from services.domain.submission import Submission
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger
    from services.runtime.queue import WorkMessage
    from services.runtime.tables.directory_slots import DirectorySlots
    from services.submitter.lookup import Lookup
    from services.submitter.settings import WorkerSettings

GAP_DEFAULT: Final = timedelta(milliseconds=1_500)


@dataclass(frozen=True, slots=True)
class Claim:
    """A submission that this worker holds; `state.claim_version` is its fence."""

    state: Submission
    directory: Directory

    @property
    def why(self) -> Why:
        """The job that the attempt runs for."""
        return Why(correlation_id=UUID(self.state.jobs[0]))


class Claimer:
    """Takes leases for one worker."""

    def __init__(
        self, ledger: Ledger, lookup: Lookup, slots: DirectorySlots, clock: Clock, settings: WorkerSettings
    ) -> None:
        self._ledger = ledger
        self._lookup = lookup
        self._slots = slots
        self._clock = clock
        self._settings = settings

    async def claim(self, message: WorkMessage) -> Claim | None:
        """Return the lease that a message stands for; None when there is nothing to do any more.

        Errors: SubmissionNotFound when the message names none: it is left to the dead-letter queue.
        """
        state = await self._ledger.submission(str(message.submission_id))
        if state.version == 0:
            raise SubmissionNotFound(submission=str(message.submission_id))
        if attempts.claim(state, *self._terms(message)) is None:
            return None
        directory = await self._lookup.directory(state.directory_id)
        if not await self._take_slot(state, directory, message):
            return None
        return await self._record(state, directory, message)

    def _terms(self, message: WorkMessage) -> tuple[str, str, timedelta]:
        return str(message.dispatch_id), self._settings.worker_id, self._settings.lease

    async def _take_slot(self, state: Submission, directory: Directory, message: WorkMessage) -> bool:
        politeness = directory.politeness
        gap = politeness.gap_min.ToTimedelta() if politeness.HasField("gap_min") else GAP_DEFAULT
        taken = await self._slots.take(
            state.directory_id,
            state.submission_id,
            attempts_at_once_max=politeness.attempts_at_once_max or 1,
            gap_seconds=gap.total_seconds(),
            expires_in_seconds=self._settings.lease.total_seconds(),
        )
        if not isinstance(taken, Busy):
            return True
        due_at = self._clock.now() + timedelta(seconds=taken.retry_after_seconds)
        reason = facts.DEFER_REASON_GAP if taken.reason == "gap" else facts.DEFER_REASON_SLOTS_TAKEN
        await self._ledger.change_submission(
            state,
            lambda now: attempts.defer(now, str(message.dispatch_id), due_at, reason),
            Why(correlation_id=UUID(state.jobs[0])),
        )
        return False

    async def _record(self, state: Submission, directory: Directory, message: WorkMessage) -> Claim | None:
        change = await self._ledger.change_submission(
            state,
            lambda now: attempts.claim(now, *self._terms(message)),
            Why(correlation_id=UUID(state.jobs[0])),
        )
        if change.done:
            return Claim(change.after, directory)
        await self._slots.release(state.directory_id, state.submission_id)
        return None
