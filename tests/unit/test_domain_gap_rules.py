"""Gap rules: what opens, renews and closes a gap, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from directorybolt.event.v1 import job_events_pb2, pulse_events_pb2, submission_events_pb2, system_events_pb2

from services.domain import events
from services.domain.attempts import timestamp
from services.domain.gap_rules import Closed, Gap, Observed, Renewed, default_rules, observe

if TYPE_CHECKING:
    from google.protobuf.message import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=60)
RULES = default_rules(LEASE, timedelta(seconds=10))


def seen(category: str, event: Message, version: int = 7) -> dict[str, Gap | Renewed | Closed]:
    changes = observe(RULES, Observed(category, "subject", event, version, NOW))
    return {change.gap.rule if isinstance(change, Renewed) else change.rule: change for change in changes}


def test_a_claim_opens_a_gap_that_is_due_after_two_leases_and_carries_the_fence() -> None:
    change = seen(events.SUBMISSION, submission_events_pb2.SubmissionClaimed(worker_id="w"))[
        "stale_submission"
    ]

    assert change == Gap("stale_submission", "subject", NOW, NOW + 2 * LEASE, 7)


def test_a_pulse_only_renews_the_gap_of_its_own_claim() -> None:
    change = seen(events.SUBMISSION, pulse_events_pb2.AttemptPulse(claim_version=5))["stale_submission"]

    assert isinstance(change, Renewed)
    assert change.gap.claim_version == 5


@pytest.mark.parametrize(
    "event",
    [
        submission_events_pb2.SubmissionListed(),
        submission_events_pb2.LeaseReaped(),
        submission_events_pb2.RetryScheduled(),
        submission_events_pb2.SubmissionUncertain(),
        submission_events_pb2.SubmissionNeedsHuman(),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_ends_an_attempt_closes_its_gap(event: Message) -> None:
    assert isinstance(seen(events.SUBMISSION, event)["stale_submission"], Closed)


def test_a_retry_is_expected_from_its_due_time_on() -> None:
    due = NOW + timedelta(hours=1)
    retry = submission_events_pb2.RetryScheduled(due_time=timestamp(due))

    change = seen(events.SUBMISSION, retry)["undispatched"]

    assert isinstance(change, Gap)
    assert change.due_at == due + timedelta(minutes=1)


def test_a_dead_letter_is_due_at_once_and_closed_by_a_redrive() -> None:
    opened = seen(events.SUBMISSION, submission_events_pb2.SubmissionDeadLettered())["dead_letter"]
    closed = seen(events.SUBMISSION, submission_events_pb2.SubmissionRedriven())["dead_letter"]

    assert isinstance(opened, Gap)
    assert opened.due_at == NOW
    assert isinstance(closed, Closed)


def test_a_lost_worker_stays_an_open_gap_until_it_starts_again_or_stops_in_good_order() -> None:
    lost = seen(events.WORKER, system_events_pb2.WorkerLost(worker_id="w"))
    stopped = seen(events.WORKER, system_events_pb2.WorkerStopped(worker_id="w"))

    assert "silent_worker" not in lost
    assert isinstance(stopped["silent_worker"], Closed)


def test_a_rule_looks_at_its_own_category_only() -> None:
    assert seen(events.WORKER, job_events_pb2.JobAccepted()) == {}


def test_every_type_that_a_rule_names_is_an_event() -> None:
    named = {name for rule in RULES for name in rule.opened_by | rule.closed_by | rule.renewed_by}

    assert named <= set(events.CLASS_BY_TYPE)


def test_rule_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
