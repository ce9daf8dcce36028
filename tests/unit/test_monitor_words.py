"""What people read: the message of a webhook, which alerts share one, and rules as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from directorybolt.event.v1 import system_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from services.domain.alert import Alert, AlertState
from services.domain.gap_rules import default_rules
from services.monitor.channel import text_of
from services.monitor.notifier import SINGLE_MAX, messages
from services.monitor.views import alert_view, rule_view
from services.projections.alerts import AlertRow
from services.projections.deliveries import Delivery

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ALERT_ID = UUID(int=7)


def row(rule: str = "dead_letter", subject: str = "submissions/s", severity: int = 3) -> AlertRow:
    """Return an alert."""
    return AlertRow(
        alert_id=ALERT_ID,
        position=1,
        rule=rule,
        subject=subject,
        severity=severity,
        summary=f"{subject}: it broke.",
        state=AlertState.RAISED,
        raised_at=AT,
        resolved_at=None,
        notified_channels=[],
        failed_channels=["slack"],
        trace_parent="",
    )


def test_one_alert_is_told_with_severity_rule_summary_time_and_name() -> None:
    assert text_of([row()]) == (
        "[CRITICAL] dead_letter: submissions/s: it broke. "
        f"(raised 2026-01-02T03:04:05+00:00, alerts/{ALERT_ID})"
    )


def test_many_alerts_are_counted_and_the_first_five_named() -> None:
    text = text_of([row(subject=f"submissions/{number}") for number in range(7)])

    assert text.startswith("[CRITICAL] dead_letter: 7 alerts since 2026-01-02T03:04:05+00:00: submissions/0,")
    assert text.endswith("submissions/4 and 2 more")


def test_as_many_alerts_as_can_be_named_are_named_without_a_remainder() -> None:
    assert text_of([row(subject=str(number)) for number in range(5)]).endswith(": 0, 1, 2, 3, 4")


@pytest.mark.parametrize(("severity", "word"), [(1, "INFO"), (2, "WARNING"), (99, "UNSPECIFIED")])
def test_the_severity_is_a_word_even_when_it_is_unknown(severity: int, word: str) -> None:
    assert text_of([row(severity=severity)]).startswith(f"[{word}] ")


def test_nothing_in_a_message_is_a_mark_or_a_mention() -> None:
    text = text_of([row(subject="queues/<!channel>&co")])

    assert "queues/&lt;!channel&gt;&amp;co" in text


def test_a_few_alerts_are_told_one_by_one_and_many_of_a_rule_together() -> None:
    few = [Delivery(row(rule="few"), 1)] * SINGLE_MAX
    many = [Delivery(row(rule="many"), 1)] * (SINGLE_MAX + 1)

    assert [len(each) for each in messages([*many, *few])] == [SINGLE_MAX + 1, *[1] * SINGLE_MAX]


def test_an_alert_looks_the_same_from_its_row_and_from_its_stream() -> None:
    folded = Alert(
        version=2,
        alert_id=str(ALERT_ID),
        rule="dead_letter",
        subject="submissions/s",
        severity=system_events_pb2.SEVERITY_CRITICAL,
        summary="submissions/s: it broke.",
        state=AlertState.RAISED,
        raised_at=AT,
        failed_channels=("slack",),
    )

    assert alert_view(folded) == alert_view(row())
    assert alert_view(row()).name == f"alerts/{ALERT_ID}"


@pytest.mark.parametrize("state", [each for each in AlertState if each is not AlertState.NONE])
def test_every_state_of_an_alert_has_a_name_in_the_contract(state: AlertState) -> None:
    shown = alert_view(Alert(version=1, alert_id=str(uuid4()), state=state)).state

    assert pb.AlertState.Name(shown) == f"ALERT_STATE_{state.name}"


def test_every_rule_is_shown_whole() -> None:
    for rule in default_rules(timedelta(seconds=60), timedelta(seconds=10)):
        shown = rule_view(rule)
        assert shown.rule == rule.name
        assert set(shown.opened_by) == rule.opened_by | rule.renewed_by
        assert shown.after.ToTimedelta() == rule.after
        assert shown.description == rule.description
