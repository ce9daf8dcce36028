"""What an attempt tells the log while it runs: signs of life, the filled form, the permit.

The pulse doubles as the question "is it still mine?". Before a permit a lost lease stops the attempt at
once; after a permit it may finish, because the click can no longer be called back, and its report is
then fenced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from directorybolt.event.v1 import pulse_events_pb2
from directorybolt.event.v1 import submission_events_pb2 as facts

from eventstore.errors import EventStoreError
from services.domain import attempts
from services.domain.errors import Trouble
from services.runtime.ledger import submission_stream
from services.submitter.attempt_result import Fenced, Permit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from google.protobuf.message import Message

    from services.domain.submission import Submission
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger
    from services.runtime.tables.directory_slots import DirectorySlots
    from services.submitter.attempt_result import AttemptResult, FillReport
    from services.submitter.claiming import Claim
    from services.submitter.settings import WorkerSettings

    Decision = Callable[[Submission], Sequence[Message] | None]

_log = structlog.get_logger(__name__)


class LedgerJournal:
    """The journal of one attempt."""

    def __init__(
        self, ledger: Ledger, slots: DirectorySlots, claim: Claim, clock: Clock, settings: WorkerSettings
    ) -> None:
        self._ledger = ledger
        self._slots = slots
        self._claim = claim
        self._clock = clock
        self._settings = settings
        self._step = "open"
        self._permitted = False
        self._lost = asyncio.Event()

    async def step(self, name: str) -> None:
        """Note a step.

        Errors: Fenced when the lease is lost.
        """
        self._step = name
        if self._lost.is_set():
            raise Fenced

    async def form_filled(self, report: FillReport) -> None:
        """Record the filled form.

        Errors: Fenced when the lease is lost.
        """
        state = self._claim.state
        fact = facts.FormFilled(
            attempt=state.attempt,
            claim_version=state.claim_version,
            fields=report.fields,
            controls_skipped=report.controls_skipped,
            confidence_min=report.confidence_min,
            form_signature=report.form_signature,
        )
        await self._append(lambda now: attempts.report(now, state.claim_version, fact))

    async def permit(self) -> Permit:
        """Re-check the lease, write the intent down, and return how long the gate may stay open.

        Errors: Fenced when the lease is lost; nothing may be sent then.
        """
        # Counted from before the append: however long the answer takes, or this process sleeps, the
        # gate closes no later than the log says.
        asked_at = self._clock.monotonic()
        fence = self._claim.state.claim_version
        await self._append(lambda now: attempts.permit(now, fence, self._settings.permit))
        self._permitted = True
        return Permit(expires_monotonic=asked_at + self._settings.permit.total_seconds())

    async def _append(self, decide: Decision) -> None:
        change = await self._ledger.change_submission(self._claim.state, decide, self._claim.why)
        if not change.done:
            raise Fenced

    async def guard(self, attempt: Coroutine[None, None, AttemptResult]) -> AttemptResult:
        """Run an attempt under pulses, and stop it when the lease is lost before a permit.

        Errors: Fenced; whatever the attempt raises.
        """
        running = asyncio.ensure_future(attempt)
        beating = asyncio.ensure_future(self._beat())
        losing = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({running, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise Fenced
            return running.result()
        finally:
            for task in (running, beating, losing):
                task.cancel()
            await asyncio.gather(running, beating, losing, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            try:
                await self._pulse()
            except (EventStoreError, Trouble) as error:
                _log.warning("pulse_failed", submission=self._claim.state.submission_id, error=str(error))
            await self._clock.sleep(self._settings.pulse.total_seconds())

    async def _pulse(self) -> None:
        state = self._claim.state
        beat = pulse_events_pb2.AttemptPulse(
            submission_id=state.submission_id,
            attempt=state.attempt,
            claim_version=state.claim_version,
            worker_id=self._settings.worker_id,
            step=self._step,
        )
        stream = submission_stream(state.submission_id, state.customer_id)
        await self._ledger.pulse(stream, beat, self._claim.why)
        await self._slots.renew(state.directory_id, state.submission_id, self._settings.lease.total_seconds())
        now = await self._ledger.submission(state.submission_id)
        if not self._permitted and not now.held_by(state.claim_version):
            self._lost.set()
