"""An alert: raised, told, perhaps seen, resolved; folded from its stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, cast

from directorybolt.event.v1 import system_events_pb2 as facts

from services.domain.submission import instant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from google.protobuf.message import Message

    from services.domain.kinds import Severity


class AlertState(Enum):
    """Where an alert is in its life."""

    NONE = "none"
    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """What is known of an alert at `version`; version 0 means that it was never raised."""

    version: int = 0
    alert_id: str = ""
    rule: str = ""
    subject: str = ""
    severity: Severity = facts.SEVERITY_UNSPECIFIED
    summary: str = ""
    state: AlertState = AlertState.NONE
    opened_at: datetime | None = None
    raised_at: datetime | None = None
    resolved_at: datetime | None = None
    notified_channels: tuple[str, ...] = ()
    failed_channels: tuple[str, ...] = ()


def evolve(state: Alert, event: Message, version: int, recorded_at: datetime) -> Alert:
    """Return the state after one more event of the stream."""
    return replace(_stepped(state, event, recorded_at), version=version)


def _stepped(state: Alert, event: Message, at: datetime) -> Alert:
    match event:
        case facts.AlertRaised():
            return _raised(event, at)
        case facts.AlertNotified():
            return replace(state, notified_channels=_with(state.notified_channels, event.channel))
        case facts.AlertNotificationFailed():
            return replace(state, failed_channels=_with(state.failed_channels, event.channel))
        case facts.AlertAcknowledged():
            return replace(state, state=AlertState.ACKNOWLEDGED)
        case facts.AlertResolved():
            return replace(state, state=AlertState.RESOLVED, resolved_at=at)
        case _:
            return state


def _raised(fact: facts.AlertRaised, at: datetime) -> Alert:
    return Alert(
        alert_id=fact.alert_id,
        rule=fact.rule,
        subject=fact.subject,
        severity=fact.severity,
        summary=fact.summary,
        state=AlertState.RAISED,
        opened_at=instant(fact.open_time),
        raised_at=at,
    )


def _with(channels: tuple[str, ...], channel: str) -> tuple[str, ...]:
    return channels if channel in channels else (*channels, channel)


def raise_once(state: Alert, fact: facts.AlertRaised) -> Sequence[Message] | None:
    """Raise an alert; None when that has been done, by whomever."""
    return [fact] if state.version == 0 else None


def acknowledge(state: Alert, alert_id: str, note: str) -> Sequence[Message] | None:
    """Note that a person has seen it; None when one has, or it is over."""
    if state.state is not AlertState.RAISED:
        return None
    return [facts.AlertAcknowledged(alert_id=alert_id, note=note)]


def resolve(state: Alert, alert_id: str, cause: str) -> Sequence[Message] | None:
    """End it; None when it is over."""
    if state.state not in {AlertState.RAISED, AlertState.ACKNOWLEDGED}:
        return None
    return [facts.AlertResolved(alert_id=alert_id, cause=cause)]


def report_delivery(
    state: Alert, fact: facts.AlertNotified | facts.AlertNotificationFailed
) -> Sequence[Message] | None:
    """Note what a channel did with it; None when it was never raised, or the channel has answered before."""
    answered = {*state.notified_channels, *state.failed_channels}
    if state.version == 0 or fact.channel in answered:
        return None
    return cast("Sequence[Message]", [fact])
