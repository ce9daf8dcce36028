"""What the dispatcher asks of scheduler.work: who is due, how much room there is, which dispatches are lost.

All of it is read in one snapshot and judged by the database's clock, which recorded the due times too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import class_row, dict_row

from services.projections.capacity import ATTEMPTS_AT_ONCE_DEFAULT, GAP_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from services.domain.kinds import Priority

#: Of each customer's due submissions of one class so many are looked at in any case; more when there are
#: few customers, so that one alone can fill the window.
PER_CUSTOMER_LEAST: Final = 2
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

# The first part walks from customer to customer in the index instead of reading every waiting row.
_DUE: Final[LiteralString] = """
with recursive waiting as (
  (select priority, customer_id from scheduler.work where ready order by priority, customer_id limit 1)
  union all
  select n.priority, n.customer_id
  from waiting c
  cross join lateral (
    select w.priority, w.customer_id from scheduler.work w
    where w.ready and (w.priority, w.customer_id) > (c.priority, c.customer_id)
    order by w.priority, w.customer_id limit 1
  ) as n
),
flying as (
  select directory_id, count(*) as number from scheduler.work where dispatched or held group by directory_id
),
full_directory as (
  select f.directory_id from flying f left join scheduler.directory d using (directory_id)
  where f.number >= coalesce(d.attempts_at_once_max, %(at_once)s)
  union
  select s.directory_id
  from scheduler.directory_start s left join scheduler.directory d using (directory_id)
  where s.last_started_at + make_interval(secs => coalesce(d.gap_seconds, %(gap)s)) > %(now)s
)
select w.submission_id, w.customer_id, w.directory_id, w.priority, w.due_at, w.jobs[1] as job_id,
  w.trace_parent,
  case when coalesce(d.gap_seconds, %(gap)s) > 0 then 1
       else coalesce(d.attempts_at_once_max, %(at_once)s) - coalesce(f.number, 0)
  end::integer as directory_room
from waiting c
cross join lateral (
  select * from scheduler.work w
  where w.ready and w.priority = c.priority and w.customer_id = c.customer_id and w.due_at <= %(now)s
    and w.directory_id <> all(array(select directory_id from full_directory))
  order by w.due_at
  limit greatest(%(least)s, ceil(%(least)s::float8 * %(room)s / (select count(*) from waiting)))::integer
) as w
left join scheduler.directory d on d.directory_id = w.directory_id
left join flying f on f.directory_id = w.directory_id
"""
_IN_FLIGHT: Final[LiteralString] = """
select customer_id, count(*)::integer as number from scheduler.work
where dispatched or held group by customer_id
"""
# Rounds are short and many; parallel workers and compiled queries pay for long ones only.
_SNAPSHOT: Final[LiteralString] = """
set transaction isolation level repeatable read, read only;
set local max_parallel_workers_per_gather = 0;
set local jit = off
"""
# A pulse that is younger than the loss says that the worker was not lost after all.
_ROOM: Final[LiteralString] = """
select clock_timestamp() as now,
  (select coalesce(sum(heard.slots), 0)::integer
   from scheduler.worker w
   left join scheduler.worker_pulse p
     on p.worker_id = w.worker_id and p.pulsed_at > greatest(w.last_pulse_at, w.ended_at)
   cross join lateral (select coalesce(p.slots, w.slots) as slots) as heard
   where (w.ended_at is null or p.pulsed_at is not null) and not coalesce(p.draining, w.draining)
     and coalesce(p.pulsed_at, w.last_pulse_at) > clock_timestamp() - %(silence)s::interval) as slots,
  (select count(*)::integer from scheduler.work where held) as held,
  (select count(*)::integer from scheduler.work where dispatched) as dispatched
"""
_LOST: Final[LiteralString] = """
select submission_id, customer_id, jobs[1] as job_id, dispatch_id, clock_timestamp() as now
from scheduler.work
where dispatched
  and greatest(dispatched_at, pg_postmaster_start_time()) < clock_timestamp() - %(patience)s::interval
order by dispatched_at limit %(limit)s
"""
_SIZES: Final[LiteralString] = """
select priority::integer,
  count(*) filter (where ready and due_at <= clock_timestamp())::integer as waiting,
  count(*) filter (where ready and due_at > clock_timestamp())::integer as delayed,
  count(*) filter (where dispatched)::integer as dispatched,
  count(*) filter (where held)::integer as claimed,
  coalesce(clock_timestamp() - min(due_at) filter (where ready and due_at <= clock_timestamp()),
           interval '0') as oldest_waiting
from scheduler.work where ready or dispatched or held group by priority
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A submission that is due at a directory that has room."""

    submission_id: UUID
    customer_id: UUID
    directory_id: str
    priority: Priority
    due_at: datetime
    #: The job that asked first.
    job_id: UUID
    trace_parent: str
    #: How many more the directory may have in flight now.
    directory_room: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the workers is taken; `slots` is 0 when no worker is known to live."""

    now: datetime
    slots: int
    held: int
    dispatched: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that a round of the dispatcher decides by."""

    room: Room
    #: How many may go out.
    window: int
    due: Sequence[Due]
    #: By customer, what is dispatched or held.
    in_flight: Mapping[UUID, int]


@dataclass(frozen=True, slots=True)
class LostDispatch:
    """A dispatch that nobody claimed in time."""

    submission_id: UUID
    customer_id: UUID
    job_id: UUID
    dispatch_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class QueueSize:
    """How full a queue is."""

    priority: Priority
    waiting: int
    delayed: int
    dispatched: int
    claimed: int
    oldest_waiting: timedelta


async def outlook(
    connection: AsyncConnection[Any], *, worker_silence: timedelta, window: Callable[[Room], int]
) -> Outlook:
    """Return who is due and how many of them may go out, in one snapshot.

    `worker_silence` is how long a worker may be silent and still count. Without room nobody is looked for.
    """
    async with connection.transaction():
        await connection.execute(_SNAPSHOT)
        room = await _room(connection, worker_silence)
        size = window(room)
        if size <= 0:
            return Outlook(room, 0, (), {})
        due = await _due(connection, room.now, size)
        return Outlook(room, size, due, await _in_flight(connection))


async def lost_dispatches(
    connection: AsyncConnection[Any], *, patience: timedelta, limit: int
) -> Sequence[LostDispatch]:
    """Return dispatches that have waited for a claim longer than `patience`, oldest first."""
    cursor = connection.cursor(row_factory=class_row(LostDispatch))
    await cursor.execute(_LOST, {"patience": patience, "limit": limit})
    return await cursor.fetchall()


async def queue_sizes(connection: AsyncConnection[Any]) -> Sequence[QueueSize]:
    """Return how full each queue is that is not empty."""
    cursor = connection.cursor(row_factory=class_row(QueueSize))
    await cursor.execute(_SIZES)
    return await cursor.fetchall()


async def _room(connection: AsyncConnection[Any], silence: timedelta) -> Room:
    cursor = connection.cursor(row_factory=class_row(Room))
    await cursor.execute(_ROOM, {"silence": silence})
    return await cursor.fetchone() or Room(_NEVER, 0, 0, 0)


async def _due(connection: AsyncConnection[Any], now: datetime, room: int) -> Sequence[Due]:
    cursor = connection.cursor(row_factory=class_row(Due))
    await cursor.execute(
        _DUE,
        {
            "now": now,
            "room": room,
            "least": PER_CUSTOMER_LEAST,
            "at_once": ATTEMPTS_AT_ONCE_DEFAULT,
            "gap": GAP_DEFAULT.total_seconds(),
        },
    )
    return await cursor.fetchall()


async def _in_flight(connection: AsyncConnection[Any]) -> Mapping[UUID, int]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_IN_FLIGHT)
    return {row["customer_id"]: row["number"] for row in await cursor.fetchall()}
