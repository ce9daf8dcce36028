"""A customer's jobs as they are listed, folded from events by the domain's own `evolve`. Owner: intake."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import dict_row

from eventstore.types import LEDGER_LANE, Filter, Position
from services.domain import events, job
from services.domain.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.domain.kinds import JobState
    from services.projections.reading import Reads

_MEMBERS: Final[tuple[LiteralString, ...]] = (
    "job_id",
    "customer_id",
    "profile_id",
    "profile_version",
    "package",
    "priority",
    "state",
    "created_at",
    "changed_at",
    "ended_at",
    "version",
)
_BESIDE: Final[tuple[LiteralString, ...]] = ("planned_count", "lane", "accepted_position", "position")
_COLUMNS: Final[LiteralString] = ", ".join((*_MEMBERS, *_BESIDE))
_CHANGES: Final[LiteralString] = ", ".join(f"{name} = excluded.{name}" for name in (*_MEMBERS, *_BESIDE))
_VALUES: Final[LiteralString] = ", ".join(f"%({name})s" for name in (*_MEMBERS, *_BESIDE))
_LOAD: Final[LiteralString] = f"select {_COLUMNS} from job where job_id = any(%s)"  # noqa: S608  # our own names
_SAVE: Final[LiteralString] = (
    f"insert into job ({_COLUMNS}) values ({_VALUES}) on conflict (job_id) do update set {_CHANGES}"  # noqa: S608  # our own names
)
_PAGE: Final[LiteralString] = f"""
select {_COLUMNS} from intake.job
where customer_id = %(customer_id)s
  and (%(state)s::smallint is null or state = %(state)s)
  and (%(before)s::bigint is null or accepted_position < %(before)s)
order by accepted_position desc
limit %(limit)s
"""  # noqa: S608  # our own names


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job without its plan's members, how many those are, and where in the log it began and is."""

    state: Job
    planned_count: int
    accepted: Position
    position: Position


class JobsProjection:
    """Keeps one row per job."""

    name = "jobs"
    version = 1
    schema = "intake"
    tables = ("job",)
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.JOB}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write what a page of events changes."""
        rows = await _load(connection, {each.stream_id for each in page})
        changed = fold_jobs(rows, page)
        if changed:
            await connection.cursor().executemany(_SAVE, [_values_of(row) for row in changed.values()])

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate job")


def fold_jobs(rows: Mapping[UUID, JobRow], page: Iterable[StoredEvent]) -> Mapping[UUID, JobRow]:
    """Return the rows that events change, as they are after them; versions that a row has are passed over."""
    changed: dict[UUID, JobRow] = {}
    for stored in page:
        before = changed.get(stored.stream_id) or rows.get(stored.stream_id)
        if stored.version == (before.state.version if before else 0) + 1:
            changed[stored.stream_id] = _advance(before, stored)
    return changed


def _advance(before: JobRow | None, stored: StoredEvent) -> JobRow:
    known = before or JobRow(Job(), 0, stored.position, stored.position)
    message = events.read(stored)
    after = job.evolve(known.state, message, stored.version, stored.recorded_at)
    # The row keeps the number only: a plan has up to 500 members, and a page up to 200 jobs.
    bare = replace(after, planned=(), directory_ids=(), final_counts=None)
    return JobRow(bare, len(after.planned) or known.planned_count, known.accepted, stored.position)


async def _load(connection: AsyncConnection[Any], job_ids: Iterable[UUID]) -> Mapping[UUID, JobRow]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOAD, [list(job_ids)])
        return {row["job_id"]: _row_of(row) async for row in cursor}


def _row_of(columns: Mapping[str, Any]) -> JobRow:
    members: dict[str, Any] = {name: columns[name] for name in _MEMBERS}
    for name in ("job_id", "customer_id", "profile_id"):
        members[name] = str(columns[name])
    lane = columns["lane"]
    return JobRow(
        Job(**members),
        columns["planned_count"],
        Position(lane, columns["accepted_position"]),
        Position(lane, columns["position"]),
    )


def _values_of(row: JobRow) -> Mapping[str, object]:
    values: dict[str, object] = {name: getattr(row.state, name) for name in _MEMBERS}
    return {
        **values,
        "planned_count": row.planned_count,
        "lane": row.position.lane,
        "accepted_position": row.accepted.number,
        "position": row.position.number,
    }


class JobReader:
    """Reads a customer's jobs, as that customer."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def page(
        self, customer_id: UUID, *, state: JobState | None, before: int | None, limit: int
    ) -> Sequence[JobRow]:
        """Return jobs, newest first, accepted before a position."""
        wanted = {"customer_id": customer_id, "state": state, "before": before, "limit": limit}
        async with (
            self._reads.of_tenant(customer_id) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(_PAGE, wanted)
            return [_row_of(row) async for row in cursor]
