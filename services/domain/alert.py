"""An alert: raised, perhaps seen, resolved; folded from its stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import system_events_pb2 as facts

from services.domain.events import type_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from google.protobuf.message import Message


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
    state: AlertState = AlertState.NONE


_STATE_AFTER: Final[Mapping[str, AlertState]] = {
    "AlertRaised": AlertState.RAISED,
    "AlertAcknowledged": AlertState.ACKNOWLEDGED,
    "AlertResolved": AlertState.RESOLVED,
}


def evolve(state: Alert, event: Message, version: int, _recorded_at: datetime) -> Alert:
    """Return the state after one more event of the stream."""
    return replace(state, version=version, state=_STATE_AFTER.get(type_of(event), state.state))


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


def report_delivery(state: Alert, fact: Message) -> Sequence[Message] | None:
    """Note what a channel did with it; None when it was never raised."""
    return [fact] if state.version else None
