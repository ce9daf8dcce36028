"""When a failed attempt is worth another one: data per error class, exponential backoff, full jitter.

Full jitter draws from the whole span below the exponential bound, because bounds that all wait the
same make the next stampede. A site's own `Retry-After` is obeyed instead of the draw.
Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.domain.kinds import ErrorClass

ATTEMPTS_MAX: Final = 6
VERIFICATIONS_MAX: Final = 3
RETRY_AFTER_MAX: Final = timedelta(days=1)
#: Every cap is reached long before; without it the product leaves what a timedelta can hold.
_DOUBLINGS_MAX: Final = 20


class Exhausted(Enum):
    """What becomes of a submission when its class allows no further attempt."""

    DEAD_LETTER = "dead_letter"
    NEEDS_HUMAN = "needs_human"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How one error class is retried; `attempts_max` 0 means never."""

    base: timedelta
    cap: timedelta
    attempts_max: int
    exhausted: Exhausted = Exhausted.DEAD_LETTER


NEVER: Final = timedelta(0)

RULES: Final[Mapping[ErrorClass, RetryRule]] = {
    job_pb2.ERROR_CLASS_TRANSIENT: RetryRule(timedelta(seconds=10), timedelta(hours=1), ATTEMPTS_MAX),
    job_pb2.ERROR_CLASS_THROTTLED: RetryRule(timedelta(minutes=1), timedelta(hours=6), ATTEMPTS_MAX),
    job_pb2.ERROR_CLASS_TEMPORARY_REJECTION: RetryRule(timedelta(days=1), timedelta(days=7), 3),
    job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET: RetryRule(NEVER, NEVER, 0, Exhausted.NEEDS_HUMAN),
    job_pb2.ERROR_CLASS_SITE_CHANGED: RetryRule(
        timedelta(minutes=10), timedelta(hours=6), 2, Exhausted.NEEDS_HUMAN
    ),
    job_pb2.ERROR_CLASS_REFUSED: RetryRule(NEVER, NEVER, 0, Exhausted.REFUSED),
    job_pb2.ERROR_CLASS_CHALLENGE: RetryRule(NEVER, NEVER, 0, Exhausted.NEEDS_HUMAN),
    job_pb2.ERROR_CLASS_BROWSER_CRASH: RetryRule(timedelta(seconds=5), timedelta(minutes=10), ATTEMPTS_MAX),
    job_pb2.ERROR_CLASS_WORKER_LOST: RetryRule(timedelta(seconds=1), timedelta(minutes=1), ATTEMPTS_MAX),
    job_pb2.ERROR_CLASS_BUG: RetryRule(NEVER, NEVER, 0),
}


@dataclass(frozen=True, slots=True)
class Chance:
    """What a pure decision may not find out for itself: a draw in [0, 1), and the scale of all waits."""

    draw: float
    scale: float = 1.0


def backoff(rule: RetryRule, attempts_used: int, chance: Chance) -> timedelta:
    """Return how long to wait before the attempt after `attempts_used` of them."""
    bound = min(rule.cap, rule.base * 2 ** min(attempts_used - 1, _DOUBLINGS_MAX))
    return bound * chance.draw * chance.scale


def next_wait(
    error_class: ErrorClass,
    attempts_used: int,
    attempts_max: int,
    chance: Chance,
    retry_after: timedelta | None = None,
) -> timedelta | Exhausted:
    """Return the wait before the next attempt, or what becomes of the submission without one."""
    rule = RULES[error_class]
    if attempts_used >= min(rule.attempts_max, attempts_max):
        return rule.exhausted
    if retry_after is not None:
        return min(retry_after, RETRY_AFTER_MAX)
    return backoff(rule, attempts_used, chance)
