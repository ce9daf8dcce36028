"""Where alerts are raised, answered and ended: each a change of the alert's own stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from directorybolt.event.v1 import system_events_pb2 as facts

from services.domain import alert, events
from services.domain.attempts import timestamp
from services.domain.errors import AlertNotFound, AlertStateForbids
from services.runtime.ledger import Aggregate, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from services.domain.gap_rules import GapRule
    from services.projections.gaps import DueGap
    from services.runtime.ledger import Change, Ledger

ALERT: Final = Aggregate(alert.Alert, alert.evolve, lambda state: state.version)


class AlertDesk:
    """Changes alerts in the name of one actor."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def raise_for(self, gap: DueGap, rule: GapRule) -> bool:
        """Raise the alert of a due gap; False when another monitor has."""
        fact = facts.AlertRaised(
            alert_id=str(gap.alert_id),
            rule=rule.name,
            subject=gap.subject,
            severity=rule.severity,
            summary=f"{gap.subject}: {rule.description}",
            open_time=timestamp(gap.heard_at),
            due_time=timestamp(gap.due_at),
        )
        return await self.raise_alert(fact)

    async def raise_alert(self, fact: facts.AlertRaised) -> bool:
        """Raise an alert; False when another monitor has."""
        change = await self._change(UUID(fact.alert_id), lambda state: alert.raise_once(state, fact))
        return change.done

    async def acknowledge(self, alert_id: UUID, note: str) -> alert.Alert:
        """Note that a person has seen it; once more does no harm. Returns the alert after it.

        Errors: AlertNotFound; AlertStateForbids when it is over.
        """
        change = await self._change(alert_id, lambda state: alert.acknowledge(state, str(alert_id), note))
        return _checked(change, alert.AlertState.ACKNOWLEDGED, alert_id)

    async def resolve(self, alert_id: UUID, cause: str) -> alert.Alert:
        """End it; once more does no harm. Returns the alert after it.

        Errors: AlertNotFound.
        """
        change = await self._change(alert_id, lambda state: alert.resolve(state, str(alert_id), cause))
        return _checked(change, alert.AlertState.RESOLVED, alert_id)

    async def report(self, alert_id: UUID, fact: facts.AlertNotified | facts.AlertNotificationFailed) -> None:
        """Note what a channel did with it."""
        await self._change(alert_id, lambda state: alert.report_delivery(state, fact))

    async def _change(
        self, alert_id: UUID, decide: Callable[[alert.Alert], Sequence[Message] | None]
    ) -> Change[alert.Alert]:
        return await self._ledger.change(ALERT, Stream(alert_id, events.ALERT), decide)


def _checked(change: Change[alert.Alert], wanted: alert.AlertState, alert_id: UUID) -> alert.Alert:
    if change.after.version == 0:
        raise AlertNotFound(alert=str(alert_id))
    if change.after.state is not wanted:
        raise AlertStateForbids(alert=str(alert_id), state=change.after.state.value)
    return change.after
