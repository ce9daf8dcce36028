"""Rows and rules as the contract shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from services.domain.attempts import duration, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.domain.gap_rules import GapRule
    from services.domain.kinds import Severity
    from services.projections.alerts import AlertRow

_STATES: Final[Mapping[str, pb.AlertState.ValueType]] = {
    "raised": pb.ALERT_STATE_RAISED,
    "acknowledged": pb.ALERT_STATE_ACKNOWLEDGED,
    "resolved": pb.ALERT_STATE_RESOLVED,
}


def alert_view(row: AlertRow) -> pb.Alert:
    """Return an alert."""
    return pb.Alert(
        name=f"alerts/{row.alert_id}",
        rule=row.rule,
        subject=row.subject,
        severity=cast("Severity", row.severity),
        state=_STATES[row.state],
        summary=row.summary,
        create_time=timestamp(row.raised_at),
        resolve_time=timestamp(row.resolved_at) if row.resolved_at else None,
        notified_channels=row.notified_channels,
        failed_channels=row.failed_channels,
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
