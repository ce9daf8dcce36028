"""An alert's life, as decisions and as a fold over whatever events come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from directorybolt.event.v1 import system_events_pb2 as facts
from hypothesis import given
from hypothesis import strategies as st

from services.domain import alert
from services.domain.alert import Alert, AlertState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    Step = Callable[[Alert], Sequence[Message] | None]

START = datetime(2026, 1, 1, tzinfo=UTC)
RAISED = facts.AlertRaised(
    alert_id="a",
    rule="dead_letter",
    subject="submissions/s",
    severity=facts.SEVERITY_CRITICAL,
    summary="A submission ran out of attempts.",
)
STEPS: dict[str, Step] = {
    "raise": lambda state: alert.raise_once(state, RAISED),
    "acknowledge": lambda state: alert.acknowledge(state, "a", "on it"),
    "resolve": lambda state: alert.resolve(state, "a", "person"),
    "told slack": lambda state: alert.report_delivery(state, facts.AlertNotified(channel="slack", tries=1)),
    "told pager": lambda state: alert.report_delivery(state, facts.AlertNotified(channel="pager", tries=1)),
    "gave up slack": lambda state: alert.report_delivery(
        state, facts.AlertNotificationFailed(channel="slack", tries=8, code="http_500")
    ),
}
ORDER = [AlertState.NONE, AlertState.RAISED, AlertState.ACKNOWLEDGED, AlertState.RESOLVED]


def after(*names: str) -> Alert:
    """Return an alert to which these were done, one a second, by whoever decides from its state."""
    state = Alert()
    for second, name in enumerate(names):
        for event in STEPS[name](state) or ():
            state = alert.evolve(state, event, state.version + 1, START + timedelta(seconds=second))
    return state


def test_an_alert_knows_all_that_was_said_when_it_was_raised() -> None:
    state = after("raise")

    assert (state.rule, state.subject, state.severity) == (RAISED.rule, RAISED.subject, RAISED.severity)
    assert (state.version, state.state, state.raised_at) == (1, AlertState.RAISED, START)


def test_nothing_can_be_done_to_an_alert_that_was_never_raised() -> None:
    assert after("acknowledge", "resolve", "told slack") == Alert()


def test_an_alert_that_is_over_stays_over() -> None:
    state = after("raise", "resolve", "acknowledge", "resolve", "raise")

    assert (state.version, state.state) == (2, AlertState.RESOLVED)
    assert state.resolved_at == START + timedelta(seconds=1)


def test_a_channel_has_answered_once_for_all() -> None:
    state = after("raise", "told slack", "gave up slack", "told slack", "told pager")

    assert state.version == 3
    assert (state.notified_channels, state.failed_channels) == (("slack", "pager"), ())


@given(st.lists(st.sampled_from(sorted(STEPS))))
def test_whatever_is_done_in_whatever_order_an_alert_only_moves_on(names: list[str]) -> None:
    states = [after(*names[:count]) for count in range(len(names) + 1)]

    places = [ORDER.index(state.state) for state in states]
    assert places == sorted(places)
    last = states[-1]
    assert last.version <= 6, "each kind of step happens once at most"
    assert not set(last.notified_channels) & set(last.failed_channels)
    assert (last.resolved_at is not None) == (last.state is AlertState.RESOLVED)


@given(st.lists(st.sampled_from(sorted(STEPS))))
def test_a_step_done_twice_in_a_row_is_done_once(names: list[str]) -> None:
    doubled = [name for name in names for _ in range(2)]

    assert after(*doubled).version == after(*names).version
    assert after(*doubled).state is after(*names).state
