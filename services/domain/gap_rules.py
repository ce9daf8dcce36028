"""Alerts derived from silence: after an event of one kind, one of others must follow in time.

Rules are data and their judgement is pure, so that the same rules run live, in a simulation, and over
history. A gap is named by its rule and its subject; while it is open, nothing has followed yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import system_events_pb2

from services.domain.events import JOB, QUEUE, SERVICE, SUBMISSION, WORKER, type_of
from services.domain.submission import OUTCOME_BY_TYPE, instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.message import Message

    from services.domain.kinds import Severity

_SETTLING: Final = frozenset(OUTCOME_BY_TYPE)
_ATTEMPT_OVER: Final = _SETTLING | {
    "LeaseReaped",
    "RetryScheduled",
    "SubmissionUncertain",
    "SubmissionDeferred",
}
#: Events that say themselves from when on something is expected.
_DUE_MEMBER: Final[Mapping[str, str]] = {
    "RetryScheduled": "due_time",
    "SubmissionDeferred": "due_time",
    "SubmissionUncertain": "verify_time",
}


class Remedy(Enum):
    """What is done when a rule fires, beside the alert."""

    NONE = ""
    REAP_LEASE = "reap_lease"
    MARK_WORKER_LOST = "mark_worker_lost"


class Condition(Enum):
    """What else must hold for a rule to fire."""

    ALWAYS = "always"
    #: Slots stay free, and nothing is sent out, for as long again as the rule waits.
    STANDSTILL = "standstill"


@dataclass(frozen=True, slots=True)
class GapRule:
    """After one of `opened_by`, one of `closed_by` must follow within `after`.

    `renewed_by` moves the due time of a gap that is open and opens none: signs of life travel in a lane
    of their own, and may be read after the event that closed the gap. Of a `grouped` rule one alert, about
    the gap that is longest overdue, stands for all: its cause is ours, not the subject's.
    """

    name: str
    category: str
    opened_by: frozenset[str]
    closed_by: frozenset[str]
    after: timedelta
    severity: Severity
    description: str
    renewed_by: frozenset[str] = frozenset()
    remedy: Remedy = Remedy.NONE
    condition: Condition = Condition.ALWAYS
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """An open gap: since when nothing followed, and until when something should have."""

    rule: str
    subject: str
    opened_at: datetime
    due_at: datetime
    #: The fence of the claim that it is about; 0 when it is about none.
    claim_version: int = 0


@dataclass(frozen=True, slots=True)
class Renewed:
    """A sign of life: the gap of this subject, if it is open and of the same claim, is due later."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class Closed:
    """An event that closes a subject's gap under a rule."""

    rule: str
    subject: str
    cause: str


@dataclass(frozen=True, slots=True)
class Observed:
    """An event as the rules see it: what it is about, and when it was recorded."""

    category: str
    subject: str
    event: Message
    version: int
    at: datetime


_WARNING: Final = system_events_pb2.SEVERITY_WARNING
_CRITICAL: Final = system_events_pb2.SEVERITY_CRITICAL
#: A pulse may be late, and so may a few in a row: this many intervals are silence.
_PULSES_MISSED_MAX: Final = 12
_SILENCE_MIN: Final = timedelta(seconds=10)


def default_rules(lease: timedelta, pulse: timedelta) -> Sequence[GapRule]:
    """Return the rules in force, for this length of lease and of pulse interval."""
    silence = max(_PULSES_MISSED_MAX * pulse, _SILENCE_MIN)
    return (*_work_rules(lease), *_dead_letter_rules(), *_silence_rules(silence), *_answer_rules())


def _work_rules(lease: timedelta) -> Sequence[GapRule]:
    return (
        GapRule(
            name="stale_submission",
            category=SUBMISSION,
            opened_by=frozenset({"SubmissionClaimed"}),
            renewed_by=frozenset({"AttemptPulse"}),
            closed_by=_ATTEMPT_OVER,
            after=2 * lease,
            severity=_CRITICAL,
            description="A worker holds a submission and gives no sign of life, and nobody took it away.",
            remedy=Remedy.REAP_LEASE,
        ),
        GapRule(
            name="stale_job",
            category=JOB,
            opened_by=frozenset({"JobAccepted", "JobCancelRequested"}),
            closed_by=frozenset({"JobPlanned", "JobCompleted", "JobCancelled"}),
            after=timedelta(minutes=10),
            severity=_CRITICAL,
            description="A job was accepted, or cancelled, and nobody acted on it.",
        ),
        GapRule(
            name="lost_dispatch",
            category=SUBMISSION,
            opened_by=frozenset({"SubmissionDispatched"}),
            closed_by=_ATTEMPT_OVER | {"SubmissionClaimed"},
            after=timedelta(minutes=5),
            severity=_WARNING,
            description="A message was sent and no worker took it, nor was it sent again.",
        ),
        GapRule(
            name="undispatched",
            category=SUBMISSION,
            opened_by=frozenset(
                {
                    "SubmissionRequested",
                    "SubmissionRedriven",
                    "SubmissionDeferred",
                    "RetryScheduled",
                    "SubmissionUncertain",
                }
            ),
            closed_by=_SETTLING | {"SubmissionDispatched"},
            after=timedelta(minutes=1),
            severity=_CRITICAL,
            description="Work is due and slots are free, but nobody sends it out: is the scheduler down?",
            condition=Condition.STANDSTILL,
            grouped=True,
        ),
    )


def _dead_letter_rules() -> Sequence[GapRule]:
    return (
        GapRule(
            name="dead_letter",
            category=SUBMISSION,
            opened_by=frozenset({"SubmissionDeadLettered"}),
            closed_by=frozenset({"SubmissionRedriven"}),
            after=timedelta(0),
            severity=_CRITICAL,
            description="A submission ran out of attempts.",
        ),
        GapRule(
            name="dead_message",
            category=QUEUE,
            opened_by=frozenset({"DeadLetterFound"}),
            closed_by=frozenset(),
            after=timedelta(0),
            severity=_CRITICAL,
            description="A message that no worker could claim was found in a dead-letter queue.",
        ),
    )


def _silence_rules(silence: timedelta) -> Sequence[GapRule]:
    return (
        GapRule(
            name="silent_worker",
            category=WORKER,
            opened_by=frozenset({"WorkerStarted"}),
            renewed_by=frozenset({"WorkerPulse"}),
            closed_by=frozenset({"WorkerStopped"}),
            after=silence,
            severity=_CRITICAL,
            description="A worker fell silent without a good-bye.",
            remedy=Remedy.MARK_WORKER_LOST,
        ),
        GapRule(
            name="silent_service",
            category=SERVICE,
            opened_by=frozenset({"ServicePulse"}),
            closed_by=frozenset(),
            after=silence,
            severity=_CRITICAL,
            description="The loops of a service stand still.",
        ),
    )


def _answer_rules() -> Sequence[GapRule]:
    return (
        GapRule(
            name="unverified",
            category=SUBMISSION,
            opened_by=frozenset({"SubmissionUncertain"}),
            closed_by=_SETTLING | {"AbsenceProven"},
            after=timedelta(hours=24),
            severity=_WARNING,
            description="Nobody could tell for a day whether a submission went through.",
        ),
        GapRule(
            name="unconfirmed",
            category=SUBMISSION,
            opened_by=frozenset({"SubmissionPendingConfirmation"}),
            closed_by=_SETTLING - {"SubmissionPendingConfirmation"},
            after=timedelta(days=7),
            severity=_WARNING,
            description="A confirmation mail waits for a click for a week.",
        ),
    )


def observe(rules: Sequence[GapRule], observed: Observed) -> Iterator[Gap | Renewed | Closed]:
    """Yield what an event opens, renews or closes."""
    event_type = type_of(observed.event)
    for rule in rules:
        if rule.category != observed.category:
            continue
        if event_type in rule.opened_by:
            yield _gap(rule, observed)
        elif event_type in rule.renewed_by:
            yield Renewed(_gap(rule, observed))
        elif event_type in rule.closed_by:
            yield Closed(rule.name, observed.subject, event_type)


def _gap(rule: GapRule, observed: Observed) -> Gap:
    event_type = type_of(observed.event)
    member = _DUE_MEMBER.get(event_type)
    due = instant(getattr(observed.event, member)) if member else observed.at
    claimed = event_type == "SubmissionClaimed"
    return Gap(
        rule=rule.name,
        subject=observed.subject,
        opened_at=observed.at,
        due_at=max(observed.at, due) + rule.after,
        claim_version=observed.version if claimed else getattr(observed.event, "claim_version", 0),
    )
