"""One attempt from claim to report: the engine works, the journal speaks, the verdict is appended.

Whatever goes wrong here ends in the log or in silence, and silence is what leases are for: a report that
cannot be written is not repeated for ever, the lease runs out and the scheduler decides.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import structlog
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2
from opentelemetry.trace import SpanKind

from eventstore.errors import KeyDestroyed
from eventstore.types import ANY_VERSION
from services.domain.errors import NotFound
from services.domain.retry_policy import Chance
from services.runtime import telemetry
from services.runtime.ledger import submission_stream
from services.submitter import verdict
from services.submitter.attempt_origins import link_origins
from services.submitter.engine import AttemptPlan, AttemptResult, Fenced, ResultKind
from services.submitter.journal import LedgerJournal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from services.domain.submission import Submission
    from services.runtime.clock import Clock
    from services.runtime.config import TraceMode
    from services.runtime.ledger import Ledger
    from services.runtime.tables.directory_slots import DirectorySlots
    from services.submitter.claiming import Claim
    from services.submitter.engine import Engine
    from services.submitter.lookup import Lookup
    from services.submitter.proofs import Proofs
    from services.submitter.settings import WorkerSettings

_log = structlog.stdlib.get_logger(__name__)


class AttemptRunner:
    """Runs attempts for one worker."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        lookup: Lookup,
        proofs: Proofs,
        slots: DirectorySlots,
        *,
        clock: Clock,
        settings: WorkerSettings,
        trace_mode: TraceMode,
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._lookup = lookup
        self._proofs = proofs
        self._slots = slots
        self._clock = clock
        self._settings = settings
        self._trace_mode: TraceMode = trace_mode

    async def run(self, claim: Claim, trace_parent: str) -> None:
        """Run a claimed attempt to its report."""
        state = claim.state
        with telemetry.start_leg(
            f"process {job_pb2.AttemptPurpose.Name(state.purpose).removeprefix('ATTEMPT_PURPOSE_').lower()}",
            origin=trace_parent,
            mode=self._trace_mode,
            kind=SpanKind.CONSUMER,
            attributes=self._attributes(state),
        ) as span:
            try:
                if self._trace_mode == "link":
                    await link_origins(span, self._ledger, claim)
                result = await self._attempt(claim)
                span.set_attribute(telemetry.OUTCOME, result.kind.name.lower())
                await self._report(claim, result)
            except Fenced:
                span.set_attribute(telemetry.OUTCOME, "fenced")
                await self._record_fence(claim)
            finally:
                await self._slots.release(state.directory_id, state.submission_id)

    def _attributes(self, state: Submission) -> dict[str, str | int]:
        return {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            telemetry.JOB_ID: state.jobs[0],
            telemetry.SUBMISSION_ID: state.submission_id,
            telemetry.DIRECTORY_ID: state.directory_id,
            telemetry.ATTEMPT: state.attempt,
            telemetry.WORKER_ID: self._settings.worker_id,
        }

    async def _attempt(self, claim: Claim) -> AttemptResult:
        journal = LedgerJournal(self._ledger, self._slots, claim, self._clock, self._settings)
        try:
            return await journal.guard(self._engine.attempt(await self._plan(claim), journal))
        except (NotFound, KeyDestroyed) as error:
            _log.warning("attempt_impossible", submission=claim.state.submission_id, error=str(error))
            return AttemptResult(
                ResultKind.FAILED, error_class=job_pb2.ERROR_CLASS_BUG, code="material_missing"
            )

    async def _plan(self, claim: Claim) -> AttemptPlan:
        verifies = claim.state.purpose == job_pb2.ATTEMPT_PURPOSE_VERIFY
        return AttemptPlan(
            submission_url=claim.directory.submission_url,
            search_url=claim.directory.search_url,
            profile=await self._lookup.profile(claim.state),
            purpose="verify" if verifies else "submit",
            attempt=claim.state.attempt,
        )

    async def _report(self, claim: Claim, result: AttemptResult) -> None:
        evidence = await self._proofs.keep(claim, result)
        # Another draw per try would let a conflict change the time of the next attempt; it does no harm.
        chance = Chance(random.random(), self._settings.retry_scale)  # noqa: S311  # spreads load only

        def decide(now: Submission) -> Sequence[Message] | None:
            return verdict.decide(now, claim.state, result, evidence, now=self._clock.now(), chance=chance)

        change = await self._ledger.change_submission(claim.state, decide, claim.why)
        if not change.done:
            raise Fenced
        _log.info(
            "attempt_ended",
            submission=claim.state.submission_id,
            directory=claim.state.directory_id,
            attempt=claim.state.attempt,
            outcome=result.kind.name.lower(),
            code=result.code,
        )

    async def _record_fence(self, claim: Claim) -> None:
        found = await self._ledger.submission(claim.state.submission_id)
        fact = facts.AttemptFenced(
            worker_id=self._settings.worker_id,
            claim_version=claim.state.claim_version,
            found_version=found.version,
        )
        stream = submission_stream(claim.state.submission_id, claim.state.customer_id)
        await self._ledger.append(stream, [fact], ANY_VERSION, claim.why)
        _log.warning("attempt_fenced", submission=claim.state.submission_id, fence=claim.state.claim_version)
