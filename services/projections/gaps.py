"""The open gaps: what was expected after an event and has not come yet. Owner: monitor.

Reads both lanes: claims and settlements from the ledger, signs of life from the pulse lane. A sign of life
only moves the due time of a gap that is open and of the same claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from directorybolt.event.v1 import pulse_events_pb2, system_events_pb2

from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter
from services.domain import events
from services.domain.gap_rules import Closed, Gap, GapRule, Observed, Renewed, observe
from services.domain.identity import alert_id_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from google.protobuf.message import Message
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

    Statement = tuple[LiteralString, Mapping[str, object]]

_CATEGORIES: Final = frozenset({events.JOB, events.QUEUE, events.SERVICE, events.SUBMISSION, events.WORKER})

_OPEN: Final = """
insert into monitor.gap (rule, subject, tenant, claim_version, alert_id, opened_at, due_at)
values (%(rule)s, %(subject)s, %(tenant)s, %(claim_version)s, %(alert_id)s, %(opened_at)s, %(due_at)s)
on conflict (rule, subject) do update
set tenant = excluded.tenant, claim_version = excluded.claim_version, alert_id = excluded.alert_id,
    opened_at = excluded.opened_at, due_at = excluded.due_at
"""
_RENEW: Final = """
update monitor.gap set due_at = greatest(due_at, %(due_at)s)
where rule = %(rule)s and subject = %(subject)s and claim_version = %(claim_version)s
  and opened_at <= %(opened_at)s
"""
_CLOSE: Final = "delete from monitor.gap where rule = %(rule)s and subject = %(subject)s"
_DUE: Final = """
select rule, subject, tenant, claim_version, alert_id, opened_at, due_at
from monitor.gap g
where due_at <= clock_timestamp()
  and not exists (select from monitor.alert a where a.alert_id = g.alert_id)
order by due_at
limit 100
"""
_OVER: Final = """
select a.alert_id from monitor.alert a
where a.state <> 'resolved'
  and not exists (
    select from monitor.gap g where g.alert_id = a.alert_id and g.due_at <= clock_timestamp()
  )
order by a.position
limit 100
"""


@dataclass(frozen=True, slots=True)
class DueGap:
    """A gap whose time has come; `alert_id` names the alert that it raises, the same one each time."""

    rule: str
    subject: str
    tenant: UUID
    claim_version: int
    alert_id: UUID
    opened_at: datetime
    due_at: datetime


class GapsProjection:
    """Keeps one row per open gap."""

    name = "gaps"
    version = 1
    lanes = (LEDGER_LANE, PULSE_LANE)
    only = Filter(categories=_CATEGORIES)

    def __init__(self, rules: Sequence[GapRule]) -> None:
        self._rules = rules

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events opens, renews and closes."""
        for stored in page:
            for statement in statements_for(self._rules, stored):
                await connection.execute(*statement)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate monitor.gap")


def subject_of(stored: StoredEvent, fact: Message) -> str:
    """Return what a gap is about, as a resource name without its customer."""
    match fact:
        case pulse_events_pb2.ServicePulse():
            return f"services/{fact.service}"
        case pulse_events_pb2.WorkerPulse() | system_events_pb2.WorkerStarted():
            return f"workers/{fact.worker_id}"
        case system_events_pb2.WorkerStopped() | system_events_pb2.WorkerLost():
            return f"workers/{fact.worker_id}"
        case system_events_pb2.DeadLetterFound():
            return f"queues/{fact.queue}/messages/{fact.message_id}"
        case _:
            return f"{stored.category}s/{stored.stream_id}"


def statements_for(rules: Sequence[GapRule], stored: StoredEvent) -> Iterator[Statement]:
    """Yield the statements that an event stands for, with their values."""
    fact = events.decode(stored.event_type, stored.payload)
    subject = subject_of(stored, fact)
    observed = Observed(stored.category, subject, fact, stored.version, stored.recorded_at)
    for change in observe(rules, observed):
        match change:
            case Gap():
                yield _OPEN, _values(change, stored)
            case Renewed(gap):
                yield _RENEW, _values(gap, stored)
            case Closed():
                yield _CLOSE, {"rule": change.rule, "subject": change.subject}


def _values(gap: Gap, stored: StoredEvent) -> Mapping[str, object]:
    return {
        "rule": gap.rule,
        "subject": gap.subject,
        "tenant": stored.tenant,
        "claim_version": gap.claim_version,
        "alert_id": alert_id_for(gap.rule, gap.subject, gap.opened_at.isoformat()),
        "opened_at": gap.opened_at,
        "due_at": gap.due_at,
    }


async def due_gaps(connection: AsyncConnection[Any]) -> Sequence[DueGap]:
    """Return gaps that are due and have no alert yet, longest overdue first, at most 100."""
    cursor = await connection.execute(_DUE)
    return [DueGap(*cast("tuple[Any, ...]", row)) for row in await cursor.fetchall()]


async def alerts_over(connection: AsyncConnection[Any]) -> Sequence[UUID]:
    """Return open alerts whose gap was closed or renewed, oldest first, at most 100."""
    cursor = await connection.execute(_OVER)
    return [cast("UUID", row[0]) for row in await cursor.fetchall()]
