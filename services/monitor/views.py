"""Alerts and rules as the contract shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from services.domain.alert import AlertState
from services.domain.attempts import duration, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.domain.alert import Alert
    from services.domain.gap_rules import GapRule
    from services.domain.kinds import Severity
    from services.projections.alerts import AlertRow

_STATES: Final[Mapping[AlertState, pb.AlertState.ValueType]] = {
    AlertState.NONE: pb.ALERT_STATE_UNSPECIFIED,
    AlertState.RAISED: pb.ALERT_STATE_RAISED,
    AlertState.ACKNOWLEDGED: pb.ALERT_STATE_ACKNOWLEDGED,
    AlertState.RESOLVED: pb.ALERT_STATE_RESOLVED,
}


def alert_view(shown: Alert | AlertRow) -> pb.Alert:
    """Return an alert, be it folded from its stream or read from a row."""
    return pb.Alert(
        name=f"alerts/{shown.alert_id}",
        rule=shown.rule,
        subject=shown.subject,
        severity=cast("Severity", shown.severity),
        state=_STATES[shown.state],
        summary=shown.summary,
        create_time=timestamp(shown.raised_at) if shown.raised_at else None,
        resolve_time=timestamp(shown.resolved_at) if shown.resolved_at else None,
        notified_channels=shown.notified_channels,
        failed_channels=shown.failed_channels,
    )


def rule_view(rule: GapRule) -> pb.GapRule:
    """Return a rule."""
    return pb.GapRule(
        rule=rule.name,
        opened_by=sorted(rule.opened_by | rule.renewed_by),
        closed_by=sorted(rule.closed_by),
        after=duration(rule.after),
        severity=rule.severity,
        remedy=rule.remedy.value,
        description=rule.description,
    )
