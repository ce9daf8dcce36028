"""From what an attempt found to what is appended: one row per kind of result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from services.domain.events import type_of
from services.domain.retry_policy import VERIFICATIONS_MAX, Chance
from services.domain.submission import Submission
from services.submitter.attempt_result import AttemptResult, ResultKind
from services.submitter.verdict import decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HALF = Chance(0.5)
EVIDENCE = facts.Evidence(proof_id="p", confidence=0.9)
CLAIMED = Submission(
    version=4,
    submission_id="s",
    jobs=("j",),
    attempts_max=6,
    state=job_pb2.SUBMISSION_STATE_CLAIMED,
    attempt=1,
    attempts_used=1,
    claim_version=3,
)
PERMITTED = replace(
    CLAIMED, state=job_pb2.SUBMISSION_STATE_PERMITTED, permit_expires_at=NOW + timedelta(seconds=30)
)
VERIFYING = replace(
    CLAIMED, uncertain=True, purpose=job_pb2.ATTEMPT_PURPOSE_VERIFY, attempt=2, verifications_used=1
)


def messages_for(state: Submission, result: AttemptResult) -> Sequence[Message]:
    return decide(state, state, result, EVIDENCE, now=NOW, chance=HALF) or ()


def appended(state: Submission, result: AttemptResult) -> list[str]:
    return [type_of(message) for message in messages_for(state, result)]


def failed(error_class: job_pb2.ErrorClass.ValueType, code: str = "code") -> AttemptResult:
    return AttemptResult(ResultKind.FAILED, error_class=error_class, code=code)


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [
        (ResultKind.LISTED, "SubmissionListed"),
        (ResultKind.PENDING_REVIEW, "SubmissionPendingReview"),
        (ResultKind.PENDING_CONFIRMATION, "SubmissionPendingConfirmation"),
        (ResultKind.ALREADY_LISTED, "SubmissionAlreadyListed"),
        (ResultKind.REFUSED, "SubmissionRefused"),
        (ResultKind.CAPTCHA, "SubmissionNeedsHuman"),
        (ResultKind.LOGIN, "SubmissionNeedsHuman"),
        (ResultKind.UNCERTAIN, "SubmissionUncertain"),
        (ResultKind.CONTINUES, "SubmissionUncertain"),
    ],
)
def test_what_a_site_answered_becomes_one_event(kind: ResultKind, event_type: str) -> None:
    assert appended(PERMITTED, AttemptResult(kind)) == [event_type]


@pytest.mark.parametrize(
    ("error_class", "second"),
    [
        (job_pb2.ERROR_CLASS_TRANSIENT, "RetryScheduled"),
        (job_pb2.ERROR_CLASS_THROTTLED, "RetryScheduled"),
        (job_pb2.ERROR_CLASS_BROWSER_CRASH, "RetryScheduled"),
        (job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET, "SubmissionNeedsHuman"),
        (job_pb2.ERROR_CLASS_CHALLENGE, "SubmissionNeedsHuman"),
        (job_pb2.ERROR_CLASS_REFUSED, "SubmissionRefused"),
        (job_pb2.ERROR_CLASS_BUG, "SubmissionDeadLettered"),
    ],
)
def test_a_failure_is_followed_by_what_its_class_calls_for(
    error_class: job_pb2.ErrorClass.ValueType, second: str
) -> None:
    assert appended(CLAIMED, failed(error_class)) == ["AttemptFailed", second]


def test_every_kind_of_result_ends_the_attempt() -> None:
    for kind in ResultKind:
        state = (
            VERIFYING if kind in {ResultKind.PRESENT, ResultKind.ABSENT, ResultKind.UNTELLABLE} else CLAIMED
        )
        result = AttemptResult(kind, error_class=job_pb2.ERROR_CLASS_TRANSIENT, code="code")

        assert appended(state, result), kind


def test_a_site_that_throttles_is_obeyed_to_the_second() -> None:
    result = AttemptResult(
        ResultKind.FAILED, error_class=job_pb2.ERROR_CLASS_THROTTLED, code="http_429", retry_after_seconds=90
    )

    retry = messages_for(CLAIMED, result)[-1]

    assert isinstance(retry, facts.RetryScheduled)
    assert retry.due_time.ToDatetime(tzinfo=UTC) == NOW + timedelta(seconds=90)


def test_a_doubt_is_not_looked_into_before_the_permit_has_run_out() -> None:
    doubt = messages_for(PERMITTED, AttemptResult(ResultKind.UNCERTAIN))[0]

    assert isinstance(doubt, facts.SubmissionUncertain)
    assert doubt.verify_time.ToDatetime(tzinfo=UTC) > NOW + timedelta(seconds=30)


def test_proven_absence_allows_a_new_click() -> None:
    assert appended(VERIFYING, AttemptResult(ResultKind.ABSENT)) == ["AbsenceProven", "RetryScheduled"]


def test_a_verifier_that_fails_looks_again_and_never_clicks() -> None:
    names = appended(VERIFYING, failed(job_pb2.ERROR_CLASS_TRANSIENT))

    assert names == ["AttemptFailed", "SubmissionUncertain"]


def test_a_verifier_that_cannot_tell_often_enough_leaves_it_to_a_person() -> None:
    tired = replace(VERIFYING, verifications_used=VERIFICATIONS_MAX)

    assert appended(tired, AttemptResult(ResultKind.UNTELLABLE)) == ["SubmissionNeedsHuman"]


def test_a_late_worker_appends_nothing() -> None:
    rescued = replace(CLAIMED, claim_version=9)

    for kind in ResultKind:
        result = AttemptResult(kind, error_class=job_pb2.ERROR_CLASS_TRANSIENT)
        assert decide(rescued, CLAIMED, result, EVIDENCE, now=NOW, chance=HALF) is None
