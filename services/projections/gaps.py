"""The open gaps: what was expected after an event and has not come yet. Owner: monitor.

Reads both lanes: claims and settlements from the ledger, signs of life from the pulse lane. A sign of life
only moves the due time of a gap that is open and of the same claim. The lanes are read against each other, so
signs of life have a table of their own, and are joined to the gaps when somebody asks what is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

import structlog
from directorybolt.event.v1 import pulse_events_pb2, system_events_pb2

from eventstore.errors import UnknownEvent
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter
from services.domain import events
from services.domain.errors import EventUndecodable
from services.domain.gap_rules import Closed, Gap, GapRule, Observed, Renewed, observe
from services.domain.identity import alert_id_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from google.protobuf.message import Message
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

    Statement = tuple[LiteralString, Mapping[str, object]]

_log = structlog.stdlib.get_logger(__name__)

_CATEGORIES: Final = frozenset({events.JOB, events.QUEUE, events.SERVICE, events.SUBMISSION, events.WORKER})

_OPEN: Final = """
insert into gap
  (rule, subject, tenant, claim_version, alert_id, opened_at, heard_at, due_at, trace_parent)
values
  (%(rule)s, %(subject)s, %(tenant)s, %(claim_version)s, %(alert_id)s, %(at)s, %(at)s, %(due_at)s,
   %(trace_parent)s)
on conflict (rule, subject) do update
set tenant = excluded.tenant, claim_version = excluded.claim_version, alert_id = excluded.alert_id,
    opened_at = excluded.opened_at, heard_at = excluded.heard_at, due_at = excluded.due_at,
    trace_parent = excluded.trace_parent
"""
_RENEW: Final = """
insert into sign_of_life as known (rule, subject, claim_version, alert_id, heard_at, due_at)
values (%(rule)s, %(subject)s, %(claim_version)s, %(alert_id)s, %(at)s, %(due_at)s)
on conflict (rule, subject) do update
set claim_version = excluded.claim_version, alert_id = excluded.alert_id, heard_at = excluded.heard_at,
    due_at = excluded.due_at
where (known.claim_version, known.heard_at) < (excluded.claim_version, excluded.heard_at)
"""
_CLOSE: Final = "delete from gap where rule = %(rule)s and subject = %(subject)s"
_NOTE_LATEST: Final = """
insert into latest as known (event_type, recorded_at) values (%(event_type)s, %(at)s)
on conflict (event_type) do update set recorded_at = greatest(known.recorded_at, excluded.recorded_at)
"""
_HEARD: Final = """
left join monitor.sign_of_life s
  on s.rule = g.rule and s.subject = g.subject and s.claim_version = g.claim_version
  and s.heard_at > g.heard_at
cross join lateral (
  select coalesce(s.alert_id, g.alert_id) as alert_id, coalesce(s.heard_at, g.heard_at) as heard_at,
         greatest(g.due_at, s.due_at) as due_at
) as heard
"""
_DUE: Final = f"""
select found.rule, found.subject, found.tenant, found.claim_version, found.alert_id, found.heard_at,
       found.due_at, clock_timestamp(), found.trace_parent
from unnest(%(rules)s::text[], %(limits)s::int[]) with ordinality as asked (rule, gaps_max, place)
cross join lateral (
  select g.rule, g.subject, g.tenant, g.claim_version, g.trace_parent, heard.*
  from monitor.gap g {_HEARD}
  where g.rule = asked.rule and g.due_at <= %(until)s and heard.due_at <= %(until)s
    and not exists (
      select from monitor.alert a
      where a.alert_id = heard.alert_id or (asked.gaps_max = 1 and a.rule = g.rule and a.state <> 'resolved')
    )
  order by heard.due_at
  limit asked.gaps_max
) as found
order by asked.place, found.due_at
"""  # noqa: S608  # our own text
_OVER: Final = f"""
select a.alert_id from monitor.alert a
where a.state <> 'resolved' and a.rule <> all(%(beside)s)
  and not exists (
    select from monitor.gap g {_HEARD}
    where g.rule = a.rule and g.subject = a.subject and heard.alert_id = a.alert_id
      and heard.due_at <= clock_timestamp()
  )
order by a.position
limit 100
"""  # noqa: S608  # our own text
_SINCE: Final = "select clock_timestamp() - recorded_at from monitor.latest where event_type = %s"

#: Gaps of one rule that may fire in one round.
PER_RULE_MAX: Final = 50
#: Types of which only the latest is of interest.
_LATEST_OF: Final = frozenset({"SubmissionDispatched"})


@dataclass(frozen=True, slots=True)
class DueGap:
    """A gap whose time has come.

    `alert_id` names the alert that it raises, the same one each time; `heard_at` is when something was heard
    of the subject last, `seen_at` the database's time now; `trace_parent` is that of the event that opened
    the gap.
    """

    rule: str
    subject: str
    tenant: UUID
    claim_version: int
    alert_id: UUID
    heard_at: datetime
    due_at: datetime
    seen_at: datetime
    trace_parent: str


class GapsProjection:
    """Keeps one row per open gap."""

    name = "gaps"
    version = 1
    schema = "monitor"
    tables = ("gap", "sign_of_life", "latest")
    lanes = (LEDGER_LANE, PULSE_LANE)
    only = Filter(categories=_CATEGORIES)

    def __init__(self, rules: Sequence[GapRule]) -> None:
        self._rules = rules

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events opens, renews and closes."""
        # Every pulse of the fleet comes by here: the statements of a page travel together.
        async with connection.pipeline():
            for stored in page:
                for statement in self._statements(stored):
                    await connection.execute(*statement)

    def _statements(self, stored: StoredEvent) -> Sequence[Statement]:
        try:
            return list(statements_for(self._rules, stored))
        except (EventUndecodable, UnknownEvent) as error:
            # Of a newer release, or damaged: no reason for the watchdog to go blind for all others.
            _log.error("gaps.event_skipped", event_id=str(stored.event_id), exc_info=error)
            return ()

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate gap, sign_of_life, latest")


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
    fact = events.read(stored)
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
    if stored.event_type in _LATEST_OF:
        yield _NOTE_LATEST, {"event_type": stored.event_type, "at": stored.recorded_at}


def _values(gap: Gap, stored: StoredEvent) -> Mapping[str, object]:
    return {
        "rule": gap.rule,
        "subject": gap.subject,
        "tenant": stored.tenant,
        "claim_version": gap.claim_version,
        "alert_id": alert_id_for(gap.rule, gap.subject, gap.opened_at.isoformat()),
        "at": gap.opened_at,
        "due_at": gap.due_at,
        "trace_parent": stored.trace_parent,
    }


async def due_gaps(
    connection: AsyncConnection[Any], rules: Sequence[GapRule], until: datetime
) -> Sequence[DueGap]:
    """Return gaps of these rules that were due by `until` and have no alert yet, longest overdue first.

    Shape: at most fifty of each rule, so that one rule's flood hides no other's; one of a grouped rule, and
    none while an alert of that rule is open.
    """
    asked = {
        "rules": [rule.name for rule in rules],
        "limits": [1 if rule.grouped else PER_RULE_MAX for rule in rules],
        "until": until,
    }
    cursor = await connection.execute(_DUE, asked)
    return [DueGap(*cast("tuple[Any, ...]", row)) for row in await cursor.fetchall()]


async def alerts_over(connection: AsyncConnection[Any], *, beside: Sequence[str] = ()) -> Sequence[UUID]:
    """Return open alerts whose gap was closed or renewed, oldest first, at most 100.

    Rules named in `beside` have no gaps: others raise and resolve their alerts.
    """
    cursor = await connection.execute(_OVER, {"beside": list(beside)})
    return [cast("UUID", row[0]) for row in await cursor.fetchall()]


async def since_dispatch(connection: AsyncConnection[Any]) -> timedelta | None:
    """Return how long ago a submission was last sent out, by the database's clock; None when never."""
    cursor = await connection.execute(_SINCE, ["SubmissionDispatched"])
    row = await cursor.fetchone()
    return cast("timedelta", row[0]) if row else None
