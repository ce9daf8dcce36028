"""A submission: its state, folded from its stream.

The fence of an attempt is the version of its `SubmissionClaimed`. An attempt holds the submission only
while that is the latest claim and nobody has taken it away; `services/domain/attempts.py` decides by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from directorybolt.job.v1 import job_pb2

from services.domain.events import type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from directorybolt.event.v1 import submission_events_pb2 as facts
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from services.domain.kinds import ErrorClass, Priority, Purpose, State

OUTCOME_BY_TYPE: Final[Mapping[str, State]] = {
    "SubmissionListed": job_pb2.SUBMISSION_STATE_LISTED,
    "SubmissionPendingReview": job_pb2.SUBMISSION_STATE_PENDING_REVIEW,
    "SubmissionPendingConfirmation": job_pb2.SUBMISSION_STATE_PENDING_CONFIRMATION,
    "SubmissionAlreadyListed": job_pb2.SUBMISSION_STATE_ALREADY_LISTED,
    "SubmissionNeedsHuman": job_pb2.SUBMISSION_STATE_NEEDS_HUMAN,
    "SubmissionRefused": job_pb2.SUBMISSION_STATE_REFUSED,
    "SubmissionDeadLettered": job_pb2.SUBMISSION_STATE_DEAD_LETTERED,
    "SubmissionCancelled": job_pb2.SUBMISSION_STATE_CANCELLED,
}
SETTLED: Final[frozenset[State]] = frozenset(OUTCOME_BY_TYPE.values())
HELD: Final[frozenset[State]] = frozenset(
    {job_pb2.SUBMISSION_STATE_CLAIMED, job_pb2.SUBMISSION_STATE_PERMITTED}
)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is known of a submission at `version`; version 0 means that it does not exist."""

    version: int = 0
    submission_id: str = ""
    customer_id: str = ""
    profile_id: str = ""
    profile_version: int = 0
    directory_id: str = ""
    generation: int = 0
    jobs: tuple[str, ...] = ()
    priority: Priority = job_pb2.PRIORITY_UNSPECIFIED
    attempts_max: int = 0
    state: State = job_pb2.SUBMISSION_STATE_UNSPECIFIED
    #: Claims so far, of either purpose; the number of the current or last attempt.
    attempt: int = 0
    #: Claims to submit since the request or the last redrive: what `attempts_max` limits.
    attempts_used: int = 0
    #: Claims to verify since the outcome last became uncertain by a submit.
    verifications_used: int = 0
    purpose: Purpose = job_pb2.ATTEMPT_PURPOSE_SUBMIT
    dispatch_id: str = ""
    claim_version: int = 0
    worker_id: str = ""
    lease: timedelta = timedelta(0)
    permit_expires_at: datetime | None = None
    #: True from a silent permit until somebody has looked: no new click before that.
    uncertain: bool = False
    due_at: datetime | None = None
    error_class: ErrorClass = job_pb2.ERROR_CLASS_UNSPECIFIED
    code: str = ""
    evidence: facts.Evidence | None = None
    proofs: tuple[str, ...] = ()
    requested_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """True when no further step is due without a person."""
        return self.state in SETTLED

    def held_by(self, claim_version: int) -> bool:
        """Return whether this claim is the current one."""
        return self.state in HELD and self.claim_version == claim_version


def instant(stamp: Timestamp) -> datetime:
    """Return a protobuf timestamp as an aware datetime."""
    return stamp.ToDatetime(tzinfo=UTC)


def evolve(state: Submission, event: Message, version: int, recorded_at: datetime) -> Submission:
    """Return the state after one more event of the stream."""
    step = _STEPS.get(type_of(event), _unchanged)
    after = step(state, event, version, recorded_at)
    return replace(after, version=version, changed_at=recorded_at)


def fold(history: Iterable[tuple[Message, int, datetime]]) -> Submission:
    """Return the state after a whole stream of (event, version, recorded_at)."""
    state = Submission()
    for event, version, recorded_at in history:
        state = evolve(state, event, version, recorded_at)
    return state


def _unchanged(state: Submission, _event: Message, _version: int, _at: datetime) -> Submission:
    return state


def _requested(_state: Submission, event: Message, _version: int, at: datetime) -> Submission:
    fact = cast("facts.SubmissionRequested", event)
    return Submission(
        submission_id=fact.submission_id,
        customer_id=fact.customer_id,
        profile_id=fact.profile_id,
        profile_version=fact.profile_version,
        directory_id=fact.directory_id,
        generation=fact.generation,
        jobs=(fact.job_id,),
        priority=fact.priority,
        attempts_max=fact.attempts_max,
        state=job_pb2.SUBMISSION_STATE_WAITING,
        requested_at=at,
        due_at=at,
    )


def _joined(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.SubmissionJoined", event)
    # P1 is the lowest number and the highest priority.
    priority = min(state.priority, fact.priority)
    return replace(state, jobs=(*state.jobs, fact.job_id), priority=priority)


def _dispatched(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.SubmissionDispatched", event)
    return replace(
        state,
        state=job_pb2.SUBMISSION_STATE_DISPATCHED,
        dispatch_id=fact.dispatch_id,
        purpose=fact.purpose,
        due_at=None,
    )


def _deferred(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.SubmissionDeferred", event)
    return replace(state, state=_idle(state), dispatch_id="", due_at=instant(fact.due_time))


def _idle(state: Submission) -> State:
    """Return the state of a submission that waits for its next dispatch."""
    if state.uncertain:
        return job_pb2.SUBMISSION_STATE_UNCERTAIN
    if state.attempts_used:
        return job_pb2.SUBMISSION_STATE_RETRYING
    return job_pb2.SUBMISSION_STATE_WAITING


def _claimed(state: Submission, event: Message, version: int, _at: datetime) -> Submission:
    fact = cast("facts.SubmissionClaimed", event)
    verifies = fact.purpose == job_pb2.ATTEMPT_PURPOSE_VERIFY
    return replace(
        state,
        state=job_pb2.SUBMISSION_STATE_CLAIMED,
        attempt=fact.attempt,
        attempts_used=state.attempts_used + (not verifies),
        verifications_used=state.verifications_used + verifies,
        purpose=fact.purpose,
        claim_version=version,
        worker_id=fact.worker_id,
        lease=fact.lease_duration.ToTimedelta(),
        permit_expires_at=None,
    )


def _permitted(state: Submission, event: Message, _version: int, at: datetime) -> Submission:
    fact = cast("facts.SubmitPermitted", event)
    return replace(
        state,
        state=job_pb2.SUBMISSION_STATE_PERMITTED,
        permit_expires_at=at + fact.valid_duration.ToTimedelta(),
        verifications_used=0,
    )


def _failed(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.AttemptFailed", event)
    seen = _with_evidence(state, fact.evidence if fact.HasField("evidence") else None)
    return replace(seen, error_class=fact.error_class, code=fact.code)


def _retry_scheduled(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.RetryScheduled", event)
    return replace(
        state,
        state=job_pb2.SUBMISSION_STATE_RETRYING,
        uncertain=False,
        due_at=instant(fact.due_time),
        error_class=fact.error_class,
    )


def _uncertain(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.SubmissionUncertain", event)
    seen = _with_evidence(state, fact.evidence if fact.HasField("evidence") else None)
    return replace(
        seen,
        state=job_pb2.SUBMISSION_STATE_UNCERTAIN,
        uncertain=True,
        due_at=instant(fact.verify_time),
        code=fact.code,
    )


def _absence_proven(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    fact = cast("facts.AbsenceProven", event)
    return replace(_with_evidence(state, fact.evidence), uncertain=False)


def _redriven(state: Submission, _event: Message, _version: int, at: datetime) -> Submission:
    return replace(state, state=job_pb2.SUBMISSION_STATE_WAITING, attempts_used=0, due_at=at)


def _settled(state: Submission, event: Message, _version: int, _at: datetime) -> Submission:
    evidence = cast("facts.Evidence | None", getattr(event, "evidence", None))
    seen = _with_evidence(state, evidence)
    return replace(seen, state=OUTCOME_BY_TYPE[type_of(event)], uncertain=False, due_at=None)


def _dead_lettered(state: Submission, event: Message, version: int, at: datetime) -> Submission:
    fact = cast("facts.SubmissionDeadLettered", event)
    settled = _settled(state, event, version, at)
    return replace(settled, error_class=fact.error_class, code=fact.code)


def _with_evidence(state: Submission, evidence: facts.Evidence | None) -> Submission:
    if evidence is None:
        return state
    seen = tuple(each for each in (evidence.form_proof_id, evidence.proof_id) if each)
    return replace(state, evidence=evidence, proofs=(*state.proofs, *seen))


_STEPS: Final[Mapping[str, Callable[[Submission, Message, int, datetime], Submission]]] = {
    "SubmissionRequested": _requested,
    "SubmissionJoined": _joined,
    "SubmissionDispatched": _dispatched,
    "SubmissionDeferred": _deferred,
    "SubmissionClaimed": _claimed,
    "SubmitPermitted": _permitted,
    "AttemptFailed": _failed,
    "RetryScheduled": _retry_scheduled,
    "SubmissionUncertain": _uncertain,
    "AbsenceProven": _absence_proven,
    "SubmissionRedriven": _redriven,
    **dict.fromkeys(OUTCOME_BY_TYPE, _settled),
    "SubmissionDeadLettered": _dead_lettered,
}
