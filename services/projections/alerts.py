"""The alerts, as their streams tell them. Owner: monitor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from directorybolt.event.v1 import system_events_pb2 as facts

from eventstore.types import LEDGER_LANE, Filter
from services.domain import events
from services.domain.alert import AlertState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

    Statement = tuple[LiteralString, Mapping[str, object]]

_RAISED: Final = """
insert into alert
  (alert_id, position, rule, subject, severity, summary, state, raised_at, trace_parent)
values
  (%(alert_id)s, %(position)s, %(rule)s, %(subject)s, %(severity)s, %(summary)s, 'raised', %(at)s,
   %(trace_parent)s)
on conflict (alert_id) do nothing
"""
_NOTIFIED: Final = """
update alert set notified_channels = array_append(notified_channels, %(channel)s)
where alert_id = %(alert_id)s and not %(channel)s = any(notified_channels)
"""
_FAILED: Final = """
update alert set failed_channels = array_append(failed_channels, %(channel)s)
where alert_id = %(alert_id)s and not %(channel)s = any(failed_channels)
"""
_ACKNOWLEDGED: Final = """
update alert set state = 'acknowledged' where alert_id = %(alert_id)s and state = 'raised'
"""
_RESOLVED: Final = """
update alert set state = 'resolved', resolved_at = %(at)s where alert_id = %(alert_id)s
"""
_COLUMNS: Final = """
select alert_id, position, rule, subject, severity, summary, state, raised_at, resolved_at,
       notified_channels, failed_channels, trace_parent
from monitor.alert
"""
_PAGE: Final = (
    _COLUMNS
    + """
where position < %(before)s and (%(resolved)s or state <> 'resolved')
order by position desc
limit %(limit)s
"""
)
_FIND: Final = _COLUMNS + "where alert_id = any(%s) order by position"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert; `trace_parent` is that of its raising."""

    alert_id: UUID
    position: int
    rule: str
    subject: str
    severity: int
    summary: str
    state: AlertState
    raised_at: datetime
    resolved_at: datetime | None
    notified_channels: Sequence[str]
    failed_channels: Sequence[str]
    trace_parent: str


class AlertsProjection:
    """Keeps one row per alert."""

    name = "alerts"
    version = 1
    schema = "monitor"
    tables = ("alert",)
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.ALERT}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        for stored in page:
            statement = statement_for(stored)
            if statement is not None:
                await connection.execute(*statement)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate alert")


def statement_for(stored: StoredEvent) -> Statement | None:
    """Return the statement that an event stands for, with its values; None when it changes nothing."""
    fact = events.read(stored)
    at = {"alert_id": stored.stream_id, "at": stored.recorded_at}
    match fact:
        case facts.AlertRaised():
            return _RAISED, {**at, **_raised_values(fact, stored)}
        case facts.AlertNotified():
            return _NOTIFIED, {**at, "channel": fact.channel}
        case facts.AlertNotificationFailed():
            return _FAILED, {**at, "channel": fact.channel}
        case facts.AlertAcknowledged():
            return _ACKNOWLEDGED, at
        case facts.AlertResolved():
            return _RESOLVED, at
        case _:
            return None


def _raised_values(fact: facts.AlertRaised, stored: StoredEvent) -> Mapping[str, object]:
    return {
        "rule": fact.rule,
        "subject": fact.subject,
        "severity": fact.severity,
        "summary": fact.summary,
        "position": stored.position.number,
        "trace_parent": stored.trace_parent,
    }


async def page_of_alerts(
    connection: AsyncConnection[Any], *, before: int, resolved: bool, limit: int
) -> Sequence[AlertRow]:
    """Return alerts raised before a position, newest first."""
    values = {"before": before, "resolved": resolved, "limit": limit}
    return await _rows(connection, _PAGE, values)


async def find_alerts(connection: AsyncConnection[Any], alert_ids: Sequence[UUID]) -> Sequence[AlertRow]:
    """Return these alerts, oldest first."""
    return await _rows(connection, _FIND, [list(alert_ids)])


async def open_alerts_of(connection: AsyncConnection[Any], rule: str) -> Sequence[UUID]:
    """Return the open alerts of a rule, oldest first."""
    cursor = await connection.execute(
        "select alert_id from monitor.alert where state <> 'resolved' and rule = %s order by position", [rule]
    )
    return [cast("UUID", row[0]) for row in await cursor.fetchall()]


async def count_open(connection: AsyncConnection[Any]) -> Mapping[int, int]:
    """Return how many alerts are open, by severity."""
    cursor = await connection.execute(
        "select severity, count(*)::int from monitor.alert where state <> 'resolved' group by severity"
    )
    return dict(cast("Sequence[tuple[int, int]]", await cursor.fetchall()))


async def _rows(
    connection: AsyncConnection[Any],
    query: LiteralString,
    values: Mapping[str, object] | Sequence[object],
) -> Sequence[AlertRow]:
    cursor = await connection.execute(query, values)
    return [_row(cast("tuple[Any, ...]", row)) for row in await cursor.fetchall()]


def _row(columns: tuple[Any, ...]) -> AlertRow:
    row = AlertRow(*columns)
    return replace(row, state=AlertState(row.state))
