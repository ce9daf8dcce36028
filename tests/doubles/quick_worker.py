"""A worker that does in one call what the real one does in a browser; its events are the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from directorybolt.event.v1 import pulse_events_pb2, system_events_pb2
from directorybolt.event.v1 import submission_events_pb2 as facts

from eventstore.types import ANY_VERSION
from services.domain import attempts, events, identity
from services.domain.retry_policy import Chance
from services.runtime.ledger import Stream, submission_stream
from services.runtime.queue import WORK_QUEUES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from services.domain.kinds import ErrorClass
    from services.domain.submission import Submission
    from services.runtime.ledger import Ledger
    from services.runtime.queue import Received, WorkQueue

NO_WAIT = Chance(draw=0.0)


@dataclass(frozen=True, slots=True)
class QuickWorker:
    """Takes messages, claims, and reports what a test tells it to."""

    ledger: Ledger
    queue: WorkQueue
    worker_id: str = "worker-1"
    lease: timedelta = timedelta(seconds=60)

    @property
    def stream(self) -> Stream:
        """Where its own life is recorded."""
        return Stream(identity.worker_stream(self.worker_id), events.WORKER)

    async def start(self, slots: int) -> None:
        """Say that it is there."""
        started = system_events_pb2.WorkerStarted(worker_id=self.worker_id, slots=slots)
        await self.ledger.append(self.stream, [started], ANY_VERSION)

    async def pulse_self(self, slots: int, *, draining: bool = False) -> None:
        """Say that it is still there."""
        pulse = pulse_events_pb2.WorkerPulse(worker_id=self.worker_id, slots=slots, draining=draining)
        await self.ledger.pulse(self.stream, pulse)

    async def messages(self) -> Sequence[Received]:
        """Take whatever waits in the queues, P1 first, and delete it."""
        found: list[Received] = []
        for queue in WORK_QUEUES:
            while taken := await self.queue.receive(queue, limit=10, wait_seconds=0, visibility_seconds=30):
                found += taken
                for each in taken:
                    await self.queue.delete(each)
        return found

    async def claim(self, received: Received) -> Submission | None:
        """Claim what a message speaks of; None when it is out of date."""
        work = received.work()
        state = await self.ledger.submission(str(work.submission_id))
        if state.version == 0:
            return None
        change = await self.ledger.change_submission(
            state,
            lambda now: attempts.claim(now, str(work.dispatch_id), self.worker_id, self.lease),
        )
        return change.after if change.done else None

    async def claim_all(self) -> Sequence[Submission]:
        """Claim everything that waits."""
        claimed = [await self.claim(each) for each in await self.messages()]
        return [each for each in claimed if each]

    async def pulse(self, state: Submission) -> None:
        """Renew the lease of an attempt."""
        pulse = pulse_events_pb2.AttemptPulse(
            submission_id=state.submission_id,
            attempt=state.attempt,
            claim_version=state.claim_version,
            worker_id=self.worker_id,
        )
        await self.ledger.pulse(submission_stream(state.submission_id, state.customer_id), pulse)

    async def permit(self, state: Submission, valid: timedelta = timedelta(seconds=30)) -> bool:
        """Ask to click."""
        change = await self.ledger.change_submission(
            state, lambda now: attempts.permit(now, state.claim_version, valid)
        )
        return change.done

    async def list_it(self, state: Submission) -> bool:
        """Report that the listing is live."""
        fact = facts.SubmissionListed(attempt=state.attempt, claim_version=state.claim_version)
        change = await self.ledger.change_submission(
            state, lambda now: attempts.report(now, state.claim_version, fact)
        )
        return change.done

    async def doubt(self, state: Submission) -> bool:
        """Report that nobody can tell; a look is due once the permit is over."""
        at = moment_of(state)
        change = await self.ledger.change_submission(
            state,
            lambda now: attempts.doubt(
                now, state.claim_version, code="answer_unclear", evidence=None, now=at, chance=NO_WAIT
            ),
        )
        return change.done

    async def fail(self, state: Submission, error_class: ErrorClass, chance: Chance = NO_WAIT) -> bool:
        """Report a failure; unless chance says otherwise a retry is due at once."""
        failure = facts.AttemptFailed(
            attempt=state.attempt, claim_version=state.claim_version, error_class=error_class, code="http_500"
        )
        at = moment_of(state)
        change = await self.ledger.change_submission(
            state, lambda now: attempts.fail(now, failure, at, chance)
        )
        return change.done


def moment_of(state: Submission) -> datetime:
    """Return when something last happened to a submission, by the store's clock."""
    if state.changed_at is None:
        raise ValueError("a claimed submission has a history")
    return state.changed_at


def submission_ids(messages: Sequence[Received]) -> Sequence[UUID]:
    """Return what messages speak of, in their order."""
    return [each.work().submission_id for each in messages]
