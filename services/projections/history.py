"""What happened to a job: its own events and its submissions', in the order of the log. Owner: intake.

Events are kept once, and a job points to the streams that concern it: so a job that joins a submission
late has that submission's past at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import tuple_row

from eventstore.types import LEDGER_LANE, Filter, Position, StoredEvent
from services.domain import events
from services.projections.submissions import links

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from services.projections.reading import Reads

_MEMBERS: Final[tuple[LiteralString, ...]] = (
    "stream_id",
    "category",
    "version",
    "event_id",
    "event_type",
    "schema_version",
    "payload",
    "correlation_id",
    "causation_id",
    "trace_parent",
    "actor",
    "recorded_at",
    "hash",
)
_BESIDE: Final[tuple[LiteralString, ...]] = ("lane", "position", "customer_id")
_COLUMNS: Final[LiteralString] = ", ".join((*_MEMBERS, *_BESIDE))
_VALUES: Final[LiteralString] = ", ".join(f"%({name})s" for name in (*_MEMBERS, *_BESIDE))
_SAVE: Final[LiteralString] = f"insert into history ({_COLUMNS}) values ({_VALUES}) on conflict do nothing"  # noqa: S608  # our own names
_LINK: Final[LiteralString] = """
insert into job_stream (job_id, stream_id, customer_id)
values (%(job_id)s, %(submission_id)s, %(customer_id)s)
on conflict do nothing
"""
_PAGE: Final[LiteralString] = f"""
select {_COLUMNS} from intake.history
where customer_id = %(customer_id)s
  and stream_id in (select stream_id from intake.job_stream where job_id = %(job_id)s)
  and position > %(after)s
order by position
limit %(limit)s
"""  # noqa: S608  # our own names


class HistoryProjection:
    """Keeps the events of jobs and submissions, and which streams make up a job."""

    name = "history"
    version = 1
    schema = "intake"
    tables = ("history", "job_stream")
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.SUBMISSION, events.JOB}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write a page of events."""
        kept = [each for each in page if each.version > 0]
        if not kept:
            return
        cursor = connection.cursor()
        await cursor.executemany(_SAVE, [_values_of(each) for each in kept])
        own = [_own_link(each) for each in kept if each.category == events.JOB and each.version == 1]
        linked = [*own, *links(kept)]
        if linked:
            await cursor.executemany(_LINK, linked)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate history, job_stream")


def _own_link(stored: StoredEvent) -> Mapping[str, object]:
    return {"job_id": stored.stream_id, "submission_id": stored.stream_id, "customer_id": stored.tenant}


def _values_of(stored: StoredEvent) -> Mapping[str, object]:
    return {
        **{name: getattr(stored, name) for name in _MEMBERS},
        "lane": stored.position.lane,
        "position": stored.position.number,
        "customer_id": stored.tenant,
    }


class HistoryReader:
    """Reads the history of a customer's jobs, as that customer."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def page(self, customer_id: UUID, job_id: UUID, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return events of a job, oldest first, behind a position."""
        wanted = {"customer_id": customer_id, "job_id": job_id, "after": after, "limit": limit}
        async with (
            self._reads.of_tenant(customer_id) as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(_PAGE, wanted)
            return [_stored(row) async for row in cursor]


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    members = dict(zip(_MEMBERS, row, strict=False))
    lane, position, customer_id = row[len(_MEMBERS) :]
    return StoredEvent(position=Position(lane, position), tenant=customer_id, **members)
