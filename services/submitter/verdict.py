"""From what an attempt found to what is appended: pure, so that every kind of result is a row of a table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from services.domain import attempts
from services.submitter.attempt_result import ResultKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from google.protobuf.message import Message

    from services.domain.kinds import HumanCause
    from services.domain.retry_policy import Chance
    from services.domain.submission import Submission
    from services.submitter.attempt_result import AttemptResult

_REPORT: Final[Mapping[ResultKind, type[Message]]] = {
    ResultKind.LISTED: facts.SubmissionListed,
    ResultKind.PRESENT: facts.SubmissionListed,
    ResultKind.PENDING_REVIEW: facts.SubmissionPendingReview,
    ResultKind.PENDING_CONFIRMATION: facts.SubmissionPendingConfirmation,
    ResultKind.ALREADY_LISTED: facts.SubmissionAlreadyListed,
    ResultKind.REFUSED: facts.SubmissionRefused,
}
_HUMAN: Final[Mapping[ResultKind, HumanCause]] = {
    ResultKind.CAPTCHA: facts.HUMAN_CAUSE_CAPTCHA,
    ResultKind.LOGIN: facts.HUMAN_CAUSE_LOGIN,
}
_DOUBT: Final = frozenset({ResultKind.UNCERTAIN, ResultKind.UNTELLABLE, ResultKind.CONTINUES})


def decide(
    state: Submission,
    claim: Submission,
    result: AttemptResult,
    evidence: facts.Evidence,
    *,
    now: datetime,
    chance: Chance,
) -> Sequence[Message] | None:
    """Return the events that end the attempt; None when the lease is lost."""
    fence = claim.claim_version
    if result.kind in _REPORT:
        message = _REPORT[result.kind](attempt=claim.attempt, claim_version=fence, evidence=evidence)
        return attempts.report(state, fence, message)
    if result.kind in _HUMAN:
        return attempts.report(state, fence, _needs_human(claim, _HUMAN[result.kind], evidence))
    if result.kind is ResultKind.ABSENT:
        return attempts.prove_absence(state, fence, evidence, now, chance)
    if result.kind in _DOUBT:
        return attempts.doubt(
            state, fence, code=result.code or "answer_unclear", evidence=evidence, now=now, chance=chance
        )
    return attempts.fail(state, _failure(claim, result, evidence), now, chance)


def _needs_human(claim: Submission, cause: HumanCause, evidence: facts.Evidence) -> Message:
    return facts.SubmissionNeedsHuman(
        attempt=claim.attempt, claim_version=claim.claim_version, cause=cause, evidence=evidence
    )


def _failure(claim: Submission, result: AttemptResult, evidence: facts.Evidence) -> facts.AttemptFailed:
    failure = facts.AttemptFailed(
        attempt=claim.attempt,
        claim_version=claim.claim_version,
        error_class=result.error_class or job_pb2.ERROR_CLASS_BUG,
        code=result.code,
        evidence=evidence,
    )
    if result.retry_after_seconds is not None:
        failure.retry_after.FromTimedelta(timedelta(seconds=result.retry_after_seconds))
    return failure
