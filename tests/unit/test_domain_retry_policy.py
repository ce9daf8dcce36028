"""The retry policy, as a table and as a distribution."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.domain.retry_policy import (
    ATTEMPTS_MAX,
    RETRY_AFTER_MAX,
    RULES,
    Chance,
    Exhausted,
    backoff,
    next_wait,
)

LATEST = Chance(draw=1.0)
NEVER_RETRIED = [
    (job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET, Exhausted.NEEDS_HUMAN),
    (job_pb2.ERROR_CLASS_REFUSED, Exhausted.REFUSED),
    (job_pb2.ERROR_CLASS_CHALLENGE, Exhausted.NEEDS_HUMAN),
    (job_pb2.ERROR_CLASS_BUG, Exhausted.DEAD_LETTER),
]
GIVEN_UP = [
    (job_pb2.ERROR_CLASS_TRANSIENT, 6, Exhausted.DEAD_LETTER),
    (job_pb2.ERROR_CLASS_THROTTLED, 6, Exhausted.DEAD_LETTER),
    (job_pb2.ERROR_CLASS_TEMPORARY_REJECTION, 3, Exhausted.DEAD_LETTER),
    (job_pb2.ERROR_CLASS_SITE_CHANGED, 2, Exhausted.NEEDS_HUMAN),
    (job_pb2.ERROR_CLASS_BROWSER_CRASH, 6, Exhausted.DEAD_LETTER),
    (job_pb2.ERROR_CLASS_WORKER_LOST, 6, Exhausted.DEAD_LETTER),
]
BOUNDS_SECONDS = [
    (job_pb2.ERROR_CLASS_TRANSIENT, [10, 20, 40, 80, 160]),
    (job_pb2.ERROR_CLASS_THROTTLED, [60, 120, 240, 480, 960]),
    (job_pb2.ERROR_CLASS_BROWSER_CRASH, [5, 10, 20, 40, 80]),
    (job_pb2.ERROR_CLASS_WORKER_LOST, [1, 2, 4, 8, 16]),
]
retried = st.sampled_from([each for each, rule in RULES.items() if rule.attempts_max])


def test_every_error_class_has_a_rule():
    """No class that a worker can report is left without an answer."""
    declared = set(job_pb2.ErrorClass.values()) - {job_pb2.ERROR_CLASS_UNSPECIFIED}

    assert declared == set(RULES)


@pytest.mark.parametrize(("error_class", "outcome"), NEVER_RETRIED)
def test_what_another_try_cannot_help_is_not_tried_again(
    error_class: job_pb2.ErrorClass.ValueType, outcome: Exhausted
):
    """Refusals, challenges, missing requirements and bugs end at the first attempt."""
    assert next_wait(error_class, 1, ATTEMPTS_MAX, LATEST) is outcome


@pytest.mark.parametrize(("error_class", "attempts", "outcome"), GIVEN_UP)
def test_each_class_gives_up_after_its_own_attempts(
    error_class: job_pb2.ErrorClass.ValueType, attempts: int, outcome: Exhausted
):
    """The last attempt but one is followed by a wait, the last one by nothing."""
    assert isinstance(next_wait(error_class, attempts - 1, ATTEMPTS_MAX, LATEST), timedelta)
    assert next_wait(error_class, attempts, ATTEMPTS_MAX, LATEST) is outcome


@pytest.mark.parametrize(("error_class", "bounds"), BOUNDS_SECONDS)
def test_the_bound_doubles_with_each_attempt(error_class: job_pb2.ErrorClass.ValueType, bounds: list[int]):
    """Exponential backoff, seen at the upper end of the draw."""
    waits = [backoff(RULES[error_class], used, LATEST).total_seconds() for used in range(1, len(bounds) + 1)]

    assert waits == bounds


@given(retried, st.integers(1, 1_000), st.floats(0, 1, exclude_max=True), st.floats(0.001, 10))
def test_a_wait_is_never_negative_and_never_beyond_the_cap(
    error_class: job_pb2.ErrorClass.ValueType, used: int, draw: float, scale: float
):
    """However many attempts there were and whatever is drawn."""
    rule = RULES[error_class]

    assert timedelta(0) <= backoff(rule, used, Chance(draw, scale)) <= rule.cap * scale


def test_the_jitter_is_full():
    """Draws fill the whole span below the bound evenly, so that a stampede does not repeat itself."""
    rule, dice = RULES[job_pb2.ERROR_CLASS_TRANSIENT], random.Random(20_261_123)  # noqa: S311
    waits = [backoff(rule, 3, Chance(dice.random())).total_seconds() for _ in range(4_000)]

    quarters = [sum(low <= each < low + 10 for each in waits) / len(waits) for low in (0, 10, 20, 30)]

    assert all(0.22 < share < 0.28 for share in quarters), quarters


def test_a_site_that_says_when_is_obeyed():
    """`Retry-After` replaces the draw, and is not scaled."""
    asked = timedelta(seconds=90)

    assert next_wait(job_pb2.ERROR_CLASS_THROTTLED, 1, 6, Chance(0.0, 0.01), asked) == asked


def test_a_site_cannot_make_us_wait_for_ever():
    """`Retry-After` beyond a day counts as a day."""
    wait = next_wait(job_pb2.ERROR_CLASS_THROTTLED, 1, 6, LATEST, timedelta(days=400))

    assert wait == RETRY_AFTER_MAX


@given(retried, st.integers(0, 20), st.integers(1, 20))
def test_a_submission_s_own_limit_holds_too(
    error_class: job_pb2.ErrorClass.ValueType, used: int, attempts_max: int
):
    """There is a further attempt only below both the class's limit and the submission's."""
    wait = next_wait(error_class, used, attempts_max, LATEST)

    allowed = used < min(attempts_max, RULES[error_class].attempts_max)
    assert isinstance(wait, timedelta) == allowed
