"""Who holds which submission, and when it last gave a sign of life.

The ledger opens and closes a lease, the pulse lane says who lives. The two are read against each other, so a
pulse may be seen before the claim that it belongs to, or after the end of it: each lane has a table of its
own, and they are joined by the claim when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from psycopg.rows import class_row

from services.domain.events import read, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from directorybolt.event.v1 import pulse_events_pb2, submission_events_pb2
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.projections.work import Step

# The claim itself is the first sign of life.
_OPEN: Final[LiteralString] = """
insert into lease
  (submission_id, claim_version, worker_id, lease_seconds, claimed_at, last_pulse_at)
select n.submission_id, n.claim_version, n.worker_id, n.lease_seconds, n.claimed_at, n.claimed_at
from unnest(%s::uuid[], %s::integer[], %s::text[], %s::float8[], %s::timestamptz[])
  as n(submission_id, claim_version, worker_id, lease_seconds, claimed_at)
on conflict (submission_id) do update
set claim_version = excluded.claim_version, worker_id = excluded.worker_id,
    lease_seconds = excluded.lease_seconds, claimed_at = excluded.claimed_at,
    last_pulse_at = excluded.last_pulse_at
"""
_NOTE: Final[LiteralString] = """
insert into lease_pulse as known (submission_id, claim_version, pulsed_at)
select submission_id, claim_version, pulsed_at
from unnest(%s::uuid[], %s::integer[], %s::timestamptz[]) as n(submission_id, claim_version, pulsed_at)
on conflict (submission_id) do update
set claim_version = excluded.claim_version, pulsed_at = excluded.pulsed_at
where (known.claim_version, known.pulsed_at) < (excluded.claim_version, excluded.pulsed_at)
"""
# After a restart of the database every lease begins anew: nobody could give a sign of life before.
_SILENT: Final[LiteralString] = """
select l.submission_id, w.customer_id, w.jobs[1] as job_id, l.claim_version, l.lease_seconds,
  heard.last_pulse_at, clock_timestamp() as now
from scheduler.lease l
join scheduler.work w using (submission_id)
left join scheduler.lease_pulse p on p.submission_id = l.submission_id and p.claim_version = l.claim_version
cross join lateral (select greatest(l.last_pulse_at, p.pulsed_at) as last_pulse_at) as heard
where greatest(heard.last_pulse_at, pg_postmaster_start_time()) + make_interval(secs => l.lease_seconds) < %s
order by heard.last_pulse_at limit %s
"""
_ONE: Final[LiteralString] = """
select greatest(l.last_pulse_at, p.pulsed_at), clock_timestamp() as now
from scheduler.lease l left join scheduler.lease_pulse p using (submission_id, claim_version)
where l.submission_id = %s and l.claim_version = %s
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as the ledger opened it."""

    submission_id: UUID
    claim_version: int
    worker_id: str
    lease_seconds: float
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class LeaseChanges:
    """What a batch of events does to the leases; at most one entry per submission in each part."""

    opened: Mapping[UUID, Lease]
    closed: frozenset[UUID]
    #: The claim and the instant: a worker that lost its lease may still give signs of life, but a later claim
    #: silences it.
    pulses: Mapping[UUID, tuple[int, datetime]]


@dataclass(frozen=True, slots=True)
class SilentLease:
    """A lease without a sign of life for longer than it lasts; `now` is the database's."""

    submission_id: UUID
    customer_id: UUID
    job_id: UUID
    claim_version: int
    lease_seconds: float
    last_pulse_at: datetime
    now: datetime

    @property
    def silent(self) -> timedelta:
        """How long there was no sign of life."""
        return self.now - self.last_pulse_at


def lease_changes(steps: Iterable[Step], events: Iterable[StoredEvent]) -> LeaseChanges:
    """Return what these steps of the ledger and these pulses do to the leases."""
    opened: dict[UUID, Lease] = {}
    closed: set[UUID] = set()
    for step in steps:
        submission_id = step.stored.stream_id
        if type_of(step.event) == "SubmissionClaimed":
            opened[submission_id] = _lease(step)
            closed.discard(submission_id)
        elif _ends_a_lease(step):
            opened.pop(submission_id, None)
            closed.add(submission_id)
    return LeaseChanges(opened, frozenset(closed), _pulses(events))


def _lease(step: Step) -> Lease:
    fact = cast("submission_events_pb2.SubmissionClaimed", step.event)
    return Lease(
        submission_id=step.stored.stream_id,
        claim_version=step.stored.version,
        worker_id=fact.worker_id,
        lease_seconds=fact.lease_duration.ToTimedelta().total_seconds(),
        claimed_at=step.stored.recorded_at,
    )


def _ends_a_lease(step: Step) -> bool:
    held_before = step.before is not None and step.before.state.held_by(step.before.state.claim_version)
    return held_before and not step.after.state.held_by(step.after.state.claim_version)


def _pulses(events: Iterable[StoredEvent]) -> Mapping[UUID, tuple[int, datetime]]:
    pulses: dict[UUID, tuple[int, datetime]] = {}
    for stored in events:
        if stored.event_type == "AttemptPulse":
            pulse = cast("pulse_events_pb2.AttemptPulse", read(stored))
            heard = (pulse.claim_version, stored.recorded_at)
            pulses[stored.stream_id] = max(pulses.get(stored.stream_id, heard), heard)
    return pulses


async def apply_leases(
    connection: AsyncConnection, steps: Sequence[Step], events: Sequence[StoredEvent]
) -> None:
    """Bring the tables lease and lease_pulse up to a batch of events."""
    changes = lease_changes(steps, events)
    if changes.closed:
        await connection.execute("delete from lease where submission_id = any(%s)", [list(changes.closed)])
    if changes.opened:
        leases = list(changes.opened.values())
        await connection.execute(
            _OPEN,
            [
                [each.submission_id for each in leases],
                [each.claim_version for each in leases],
                [each.worker_id for each in leases],
                [each.lease_seconds for each in leases],
                [each.claimed_at for each in leases],
            ],
        )
    if changes.pulses:
        claims, instants = zip(*changes.pulses.values(), strict=True)
        await connection.execute(_NOTE, [list(changes.pulses), list(claims), list(instants)])


async def silent_leases(
    connection: AsyncConnection[Any], covered_until: datetime, limit: int
) -> Sequence[SilentLease]:
    """Return leases that ran out before `covered_until`, up to which all signs of life have been read."""
    cursor = connection.cursor(row_factory=class_row(SilentLease))
    await cursor.execute(_SILENT, [covered_until, limit])
    return await cursor.fetchall()


async def silence_of(
    connection: AsyncConnection[Any], submission_id: UUID, claim_version: int
) -> timedelta | None:
    """Return how long this claim has given no sign of life; None when the read model knows no such lease."""
    cursor = await connection.execute(_ONE, [submission_id, claim_version])
    row = await cursor.fetchone()
    return row[1] - row[0] if row else None
