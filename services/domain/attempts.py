"""What may happen to a submission next: pure decisions from its state to new events.

Every function returns the events to append at the state's version, or None when the step is not allowed
any more, which is how a late or doubled worker, message or timer finds out. Nothing here reads a clock
or draws a number: both come in.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.domain.retry_policy import RULES as RETRY_RULES
from services.domain.retry_policy import VERIFICATIONS_MAX, Chance, Exhausted, backoff, next_wait

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from google.protobuf.message import Message

    from services.domain.kinds import DeferReason, ErrorClass, HumanCause, Purpose
    from services.domain.submission import Submission

#: After a permit's expiry, before anybody looks for the listing: the site may still be at work.
VERIFY_MARGIN: Final = timedelta(seconds=5)

_HUMAN_CAUSE: Final = {
    job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET: facts.HUMAN_CAUSE_PROFILE_INCOMPLETE,
    job_pb2.ERROR_CLASS_SITE_CHANGED: facts.HUMAN_CAUSE_FORM_UNCLEAR,
    job_pb2.ERROR_CLASS_CHALLENGE: facts.HUMAN_CAUSE_CAPTCHA,
}
_READY: Final = frozenset(
    {
        job_pb2.SUBMISSION_STATE_WAITING,
        job_pb2.SUBMISSION_STATE_RETRYING,
        job_pb2.SUBMISSION_STATE_UNCERTAIN,
    }
)
_CANCELLABLE: Final = frozenset(
    {
        job_pb2.SUBMISSION_STATE_WAITING,
        job_pb2.SUBMISSION_STATE_DISPATCHED,
        job_pb2.SUBMISSION_STATE_CLAIMED,
        job_pb2.SUBMISSION_STATE_RETRYING,
    }
)


def timestamp(moment: datetime) -> Timestamp:
    """Return an aware datetime as a protobuf timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def duration(span: timedelta) -> Duration:
    """Return a timedelta as a protobuf duration."""
    message = Duration()
    message.FromTimedelta(span)
    return message


def next_purpose(state: Submission) -> Purpose:
    """Return what the next attempt is for: nobody clicks again before somebody has looked."""
    return job_pb2.ATTEMPT_PURPOSE_VERIFY if state.uncertain else job_pb2.ATTEMPT_PURPOSE_SUBMIT


def dispatch(state: Submission, dispatch_id: str, queue: str, now: datetime) -> Sequence[Message] | None:
    """Send a submission whose time has come to the workers."""
    if state.state not in _READY or state.due_at is None or state.due_at > now:
        return None
    return [
        facts.SubmissionDispatched(dispatch_id=dispatch_id, queue=queue, purpose=next_purpose(state)),
    ]


def defer(
    state: Submission, dispatch_id: str, due_at: datetime, reason: DeferReason
) -> Sequence[Message] | None:
    """Put a dispatched submission back; costs no attempt."""
    if not _dispatched_as(state, dispatch_id):
        return None
    return [facts.SubmissionDeferred(due_time=timestamp(due_at), reason=reason)]


def claim(state: Submission, dispatch_id: str, worker_id: str, lease: timedelta) -> Sequence[Message] | None:
    """Take the lease of a dispatched submission; from here the attempt counts."""
    if not _dispatched_as(state, dispatch_id):
        return None
    return [
        facts.SubmissionClaimed(
            worker_id=worker_id,
            attempt=state.attempt + 1,
            purpose=state.purpose,
            lease_duration=duration(lease),
            dispatch_id=dispatch_id,
        ),
    ]


def _dispatched_as(state: Submission, dispatch_id: str) -> bool:
    return state.state == job_pb2.SUBMISSION_STATE_DISPATCHED and state.dispatch_id == dispatch_id


def permit(state: Submission, claim_version: int, valid: timedelta) -> Sequence[Message] | None:
    """Write the intent to click down, once per attempt, and only ahead of a submit."""
    claimed = state.state == job_pb2.SUBMISSION_STATE_CLAIMED and state.held_by(claim_version)
    if not claimed or state.purpose != job_pb2.ATTEMPT_PURPOSE_SUBMIT:
        return None
    return [
        facts.SubmitPermitted(
            attempt=state.attempt, claim_version=claim_version, valid_duration=duration(valid)
        ),
    ]


def report(state: Submission, claim_version: int, fact: Message) -> Sequence[Message] | None:
    """Record what an attempt found out, as long as it holds the submission."""
    return [fact] if state.held_by(claim_version) else None


def fail(
    state: Submission, failure: facts.AttemptFailed, now: datetime, chance: Chance
) -> Sequence[Message] | None:
    """End an attempt that sent nothing, and decide whether there is another one."""
    if not state.held_by(failure.claim_version):
        return None
    retry_after = failure.retry_after.ToTimedelta() if failure.HasField("retry_after") else None
    if state.uncertain:
        return [failure, *_look_again(state, failure.code, failure.evidence, now, chance)]
    wait = next_wait(failure.error_class, state.attempts_used, state.attempts_max, chance, retry_after)
    return [failure, _after_failure(state, failure.error_class, failure.code, wait, now)]


def _after_failure(
    state: Submission,
    error_class: ErrorClass,
    code: str,
    wait: timedelta | Exhausted,
    now: datetime,
) -> Message:
    if isinstance(wait, timedelta):
        return facts.RetryScheduled(
            due_time=timestamp(now + wait), attempts_used=state.attempts_used, error_class=error_class
        )
    if wait is Exhausted.NEEDS_HUMAN:
        cause = _HUMAN_CAUSE.get(error_class, facts.HUMAN_CAUSE_FORM_UNCLEAR)
        return _needs_human(state, cause)
    if wait is Exhausted.REFUSED:
        return facts.SubmissionRefused(attempt=state.attempt, claim_version=state.claim_version)
    return facts.SubmissionDeadLettered(attempts_used=state.attempts_used, error_class=error_class, code=code)


def _needs_human(
    state: Submission, cause: HumanCause, evidence: facts.Evidence | None = None
) -> facts.SubmissionNeedsHuman:
    return facts.SubmissionNeedsHuman(
        attempt=state.attempt, claim_version=state.claim_version, cause=cause, evidence=evidence
    )


def doubt(
    state: Submission,
    claim_version: int,
    *,
    code: str,
    evidence: facts.Evidence | None,
    now: datetime,
    chance: Chance,
) -> Sequence[Message] | None:
    """End an attempt whose outcome nobody can tell: somebody has to look, later a person."""
    if not state.held_by(claim_version):
        return None
    return _look_again(state, code, evidence, now, chance)


def _look_again(
    state: Submission, code: str, evidence: facts.Evidence | None, now: datetime, chance: Chance
) -> Sequence[Message]:
    if state.verifications_used >= VERIFICATIONS_MAX:
        return [_needs_human(state, facts.HUMAN_CAUSE_UNVERIFIABLE, evidence)]
    return [
        facts.SubmissionUncertain(
            attempt=state.attempt,
            claim_version=state.claim_version,
            code=code,
            verify_time=timestamp(_verify_at(state, now, chance)),
            evidence=evidence,
        ),
    ]


def _verify_at(state: Submission, now: datetime, chance: Chance) -> datetime:
    """Not before the permit has expired, with margin; each further look waits longer."""
    rule = RETRY_RULES[job_pb2.ERROR_CLASS_TRANSIENT]
    wait = backoff(rule, state.verifications_used, chance) if state.verifications_used else timedelta(0)
    if state.permit_expires_at is None:
        return now + wait
    return max(now + wait, state.permit_expires_at + VERIFY_MARGIN)


def prove_absence(
    state: Submission, claim_version: int, evidence: facts.Evidence, now: datetime, chance: Chance
) -> Sequence[Message] | None:
    """Record that a verifier looked and found nothing: a new click is allowed, if attempts are left."""
    if not state.held_by(claim_version) or state.purpose != job_pb2.ATTEMPT_PURPOSE_VERIFY:
        return None
    proof = facts.AbsenceProven(attempt=state.attempt, claim_version=claim_version, evidence=evidence)
    error_class = job_pb2.ERROR_CLASS_TRANSIENT
    wait = next_wait(error_class, state.attempts_used, state.attempts_max, chance)
    return [proof, _after_failure(state, error_class, "absent_after_doubt", wait, now)]


def reap(
    state: Submission, claim_version: int, silent: timedelta, now: datetime, chance: Chance
) -> Sequence[Message] | None:
    """Take the lease of a silent worker away: before a permit it is a retry, after it a doubt."""
    if not state.held_by(claim_version):
        return None
    permitted = state.state == job_pb2.SUBMISSION_STATE_PERMITTED
    reaped = facts.LeaseReaped(
        claim_version=claim_version,
        attempt=state.attempt,
        worker_id=state.worker_id,
        silent_duration=duration(silent),
        permitted=permitted,
    )
    if permitted or state.uncertain:
        code = "silent_after_permit" if permitted else "silent_verifier"
        return [reaped, *_look_again(state, code, None, now, chance)]
    error_class = job_pb2.ERROR_CLASS_WORKER_LOST
    wait = next_wait(error_class, state.attempts_used, state.attempts_max, chance)
    return [reaped, _after_failure(state, error_class, "worker_silent", wait, now)]


def join(state: Submission, fact: facts.SubmissionJoined) -> Sequence[Message] | None:
    """Let a further job share the submission; None when it does already."""
    return None if fact.job_id in state.jobs else [fact]


def cancel(state: Submission, job_id: str, jobs_open: int) -> Sequence[Message] | None:
    """Cancel what has not been permitted, unless another open job wants it too.

    Shape: `jobs_open` counts the submission's jobs, other than this one, that still want it.
    """
    if jobs_open or state.uncertain or state.state not in _CANCELLABLE:
        return None
    return [facts.SubmissionCancelled(job_id=job_id)]


def redrive(state: Submission, reason: str) -> Sequence[Message] | None:
    """Send a dead letter round again."""
    if state.state != job_pb2.SUBMISSION_STATE_DEAD_LETTERED:
        return None
    return [facts.SubmissionRedriven(reason=reason)]
