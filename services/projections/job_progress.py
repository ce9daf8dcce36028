"""Jobs as the scheduler drives them: to plan, to cancel, to finish, and which submissions each has.

How many submissions of a job are unsettled is counted again for every job that a batch touches, instead of
adding and subtracting: a count cannot drift, also when a submission is shared, redriven or joined late.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast
from uuid import UUID

from directorybolt.event.v1 import job_events_pb2
from psycopg.rows import class_row, dict_row

from services.domain import job
from services.domain.events import JOB, read
from services.domain.submission import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from google.protobuf.message import Message
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.domain.kinds import JobState, Priority, State
    from services.projections.work import Step

_COLUMNS: Final[LiteralString] = (
    "job_id, customer_id, priority, version, state, planned, trace_parent, accepted_at"
)
_LOAD: Final[LiteralString] = f"select {_COLUMNS} from job where job_id = any(%s)"  # noqa: S608  # our own names
_SAVE: Final[LiteralString] = f"""
insert into job ({_COLUMNS})
select {_COLUMNS} from jsonb_populate_recordset(null::job, %s::jsonb)
on conflict (job_id) do update
set version = excluded.version, state = excluded.state, planned = excluded.planned
"""  # noqa: S608  # our own names
_LINK: Final[LiteralString] = """
insert into job_submission (job_id, submission_id, planned)
select n.job_id, n.submission_id, n.planned
from unnest(%s::uuid[], %s::uuid[], %s::boolean[]) as n(job_id, submission_id, planned)
on conflict (job_id, submission_id) do update
set planned = job_submission.planned or excluded.planned
"""
_RECOUNT: Final[LiteralString] = """
update job j set open = n.open, unsettled = n.unsettled
from (
  select s.job_id,
    count(*) filter (where s.planned and not coalesce(w.state = any(%(settled)s), false)) as open,
    count(*) filter (where not coalesce(w.state = any(%(settled)s), false)) as unsettled
  from job_submission s
  left join work w on w.submission_id = s.submission_id
  where s.job_id = any(%(jobs)s)
  group by s.job_id
) as n
where j.job_id = n.job_id and (j.open, j.unsettled) is distinct from (n.open, n.unsettled)
"""
_TO_PLAN: Final[LiteralString] = f"""
select {_COLUMNS} from scheduler.job where accepted and not planned order by accepted_at limit %s
"""  # noqa: S608  # our own names
_TO_FINISH: Final[LiteralString] = f"""
select {_COLUMNS} from scheduler.job
where running and open = 0
  and (planned or not exists (select from scheduler.job_submission s where s.job_id = job.job_id))
order by accepted_at limit %s
"""  # noqa: S608  # our own names
_STATES: Final[LiteralString] = """
select s.submission_id::text, w.state
from scheduler.job_submission s join scheduler.work w using (submission_id) where s.job_id = %s
"""
# What somebody may click any moment, or has clicked, cannot be cancelled; what another open job wants, stays.
_TO_CANCEL: Final[LiteralString] = """
select distinct on (w.submission_id) w.submission_id, w.customer_id, j.job_id,
  array(
    select o.job_id::text from scheduler.job_submission o join scheduler.job p on p.job_id = o.job_id
    where o.submission_id = w.submission_id and (p.cancelled or p.finished)
  ) as closed_jobs
from scheduler.job j
join scheduler.job_submission s on s.job_id = j.job_id
join scheduler.work w on w.submission_id = s.submission_id
where j.cancelled and j.unsettled > 0 and not w.uncertain and (w.ready or w.dispatched or w.held)
  and not exists (
    select from scheduler.job_submission o join scheduler.job p on p.job_id = o.job_id
    where o.submission_id = w.submission_id and not p.cancelled and not p.finished
  )
limit %s
"""
_REQUESTED: Final[LiteralString] = """
select w.submission_id::text, w.directory_id, w.generation, w.jobs[1] <> s.job_id as joined
from scheduler.job_submission s join scheduler.work w using (submission_id)
where s.job_id = %s order by w.requested_at, w.submission_id
"""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of scheduler.job, without its counts."""

    job_id: UUID
    customer_id: UUID
    priority: Priority
    version: int
    state: JobState
    planned: bool
    #: Of the acceptance: the whole job belongs to that trace.
    trace_parent: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class ToCancel:
    """A submission to cancel, one of the jobs that ask for it, and all of its jobs that are over."""

    submission_id: UUID
    customer_id: UUID
    job_id: UUID
    closed_jobs: Sequence[str]


Links = dict[tuple[UUID, UUID], bool]


def fold_jobs(rows: Mapping[UUID, JobRow], events: Iterable[StoredEvent]) -> Mapping[UUID, JobRow]:
    """Return the rows that job events change, as they are after them.

    Shape: versions that a row has already are passed over.
    """
    changed: dict[UUID, JobRow] = {}
    for stored in events:
        if stored.category != JOB:
            continue
        before = changed.get(stored.stream_id) or rows.get(stored.stream_id)
        if stored.version == (before.version if before else 0) + 1:
            event = read(stored)
            changed[stored.stream_id] = _advance(before, event, stored)
    return changed


def _advance(before: JobRow | None, event: Message, stored: StoredEvent) -> JobRow:
    known = job.Job(version=before.version, state=before.state) if before else job.Job()
    after = job.evolve(known, event, stored.version, stored.recorded_at)
    planned = stored.event_type == "JobPlanned" or (before is not None and before.planned)
    return JobRow(
        job_id=stored.stream_id,
        customer_id=stored.tenant,
        priority=before.priority if before else after.priority,
        version=stored.version,
        state=after.state,
        planned=planned,
        trace_parent=before.trace_parent if before else stored.trace_parent,
        accepted_at=before.accepted_at if before else stored.recorded_at,
    )


def links(steps: Iterable[Step], events: Iterable[StoredEvent]) -> Links:
    """Return which submissions belong to which job by these events, and whether by its plan."""
    found: Links = {}
    for step in steps:
        before = step.before.state.jobs if step.before else ()
        for job_id in step.after.state.jobs[len(before) :]:
            found.setdefault((UUID(job_id), step.stored.stream_id), False)
    for stored in events:
        if stored.event_type == "JobPlanned":
            fact = cast("job_events_pb2.JobPlanned", read(stored))
            found.update({(stored.stream_id, UUID(each.submission_id)): True for each in fact.submissions})
    return found


def jobs_to_recount(steps: Iterable[Step], linked: Links) -> frozenset[UUID]:
    """Return the jobs whose counts these events may have changed."""
    moved = {UUID(each) for step in steps if step.settles_or_reopens for each in step.after.state.jobs}
    return frozenset(moved | {job_id for job_id, _ in linked})


async def apply_jobs(
    connection: AsyncConnection, steps: Sequence[Step], events: Sequence[StoredEvent]
) -> None:
    """Bring scheduler.job and scheduler.job_submission up to a batch whose steps are in scheduler.work."""
    touched = {each.stream_id for each in events if each.category == JOB}
    if touched:
        await _save(connection, fold_jobs(await _load(connection, touched), events))
    linked = links(steps, events)
    if linked:
        jobs, submissions = zip(*linked, strict=True)
        await connection.execute(_LINK, [list(jobs), list(submissions), list(linked.values())])
    recounted = jobs_to_recount(steps, linked)
    if recounted:
        await connection.execute(_RECOUNT, {"settled": sorted(SETTLED), "jobs": list(recounted)})


async def _load(connection: AsyncConnection, job_ids: Iterable[UUID]) -> Mapping[UUID, JobRow]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOAD, [list(job_ids)])
        return {row["job_id"]: JobRow(**row) async for row in cursor}


async def _save(connection: AsyncConnection, rows: Mapping[UUID, JobRow]) -> None:
    if rows:
        columns = [{name: getattr(row, name) for name in row.__slots__} for row in rows.values()]
        await connection.execute(_SAVE, [json.dumps(columns, default=str)])


async def jobs_to_plan(connection: AsyncConnection[Any], limit: int) -> Sequence[JobRow]:
    """Return jobs without a plan, also such that are being cancelled, oldest first."""
    return await _jobs(connection, _TO_PLAN, limit)


async def jobs_to_finish(connection: AsyncConnection[Any], limit: int) -> Sequence[JobRow]:
    """Return running or cancelling jobs of which nothing is open any more, oldest first."""
    return await _jobs(connection, _TO_FINISH, limit)


async def submission_states(connection: AsyncConnection[Any], job_id: UUID) -> Mapping[str, State]:
    """Return the states of a job's submissions, by id."""
    cursor = await connection.execute(_STATES, [job_id])
    return dict(cast("list[tuple[str, State]]", await cursor.fetchall()))


async def requested_so_far(
    connection: AsyncConnection[Any], job_id: UUID
) -> Sequence[job_events_pb2.PlannedSubmission]:
    """Return what has been requested or joined for a job, oldest first."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_REQUESTED, [job_id])
    return [job_events_pb2.PlannedSubmission(**row) for row in await cursor.fetchall()]


async def submissions_to_cancel(connection: AsyncConnection[Any], limit: int) -> Sequence[ToCancel]:
    """Return submissions that only cancelled jobs want, and that may still be cancelled."""
    cursor = connection.cursor(row_factory=class_row(ToCancel))
    await cursor.execute(_TO_CANCEL, [limit])
    return await cursor.fetchall()


async def _jobs(connection: AsyncConnection[Any], statement: LiteralString, limit: int) -> Sequence[JobRow]:
    cursor = connection.cursor(row_factory=class_row(JobRow))
    await cursor.execute(statement, [limit])
    return await cursor.fetchall()
