"""Every submission as the scheduler decides by it: folded from events by the domain's own `evolve`.

A row is the fold's state as columns, so that a batch costs one read and one write however many events a
submission has in it, and so that row and stream cannot disagree about what a state means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID

from psycopg.rows import dict_row

from services.domain import submission
from services.domain.events import SUBMISSION, read, type_of
from services.domain.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from google.protobuf.message import Message
    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

#: Members of Submission that are columns; evidence, proofs, lease and profile version are not.
_STATE: Final[tuple[LiteralString, ...]] = (
    "submission_id",
    "customer_id",
    "profile_id",
    "directory_id",
    "generation",
    "jobs",
    "priority",
    "version",
    "state",
    "uncertain",
    "purpose",
    "attempt",
    "attempts_used",
    "attempts_max",
    "verifications_used",
    "dispatch_id",
    "claim_version",
    "worker_id",
    "error_class",
    "code",
    "requested_at",
    "changed_at",
    "due_at",
    "permit_expires_at",
)
_BESIDE: Final[tuple[LiteralString, ...]] = ("trace_parent", "dispatched_at", "settled_at")
#: The domain knows ids as text.
_AS_TEXT: Final[Mapping[str, LiteralString]] = {
    "submission_id": "submission_id::text",
    "customer_id": "customer_id::text",
    "profile_id": "profile_id::text",
    "jobs": "jobs::text[]",
}
_COLUMNS: Final[LiteralString] = ", ".join((*_STATE, *_BESIDE))
#: What `row_of` needs, from a table named work.
SELECTED: Final[LiteralString] = ", ".join(_AS_TEXT.get(name, name) for name in (*_STATE, *_BESIDE))
_CHANGES: Final[LiteralString] = ", ".join(f"{name} = excluded.{name}" for name in (*_STATE, *_BESIDE))
_LOAD: Final[LiteralString] = f"select {SELECTED} from work where submission_id = any(%s)"  # noqa: S608  # our own names
_SAVE: Final[LiteralString] = f"""
insert into work ({_COLUMNS})
select {_COLUMNS} from jsonb_populate_recordset(null::work, %s::jsonb)
on conflict (submission_id) do update set {_CHANGES}
"""  # noqa: S608  # our own names


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A row of scheduler.work: the folded state, and what it does not say itself."""

    state: Submission
    #: Of the request: what happens to the submission later belongs to that trace.
    trace_parent: str
    #: When it was last sent to the workers.
    dispatched_at: datetime | None
    #: Since when it is settled; None while it is not.
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One event and the row before and after it; `before` is None at the request."""

    event: Message
    stored: StoredEvent
    before: WorkRow | None
    after: WorkRow

    @property
    def settles_or_reopens(self) -> bool:
        """True when the event changed whether the submission is settled, or for which jobs."""
        if self.before is None or self.before.state.jobs != self.after.state.jobs:
            return True
        return self.before.state.settled != self.after.state.settled


async def apply_work(connection: AsyncConnection, events: Sequence[StoredEvent]) -> Sequence[Step]:
    """Bring scheduler.work up to these events and return what each of them did."""
    touched = {each.stream_id for each in events if _is_ours(each)}
    if not touched:
        return ()
    steps = fold_steps(await load(connection, touched), events)
    await save(connection, {step.stored.stream_id: step.after for step in steps})
    return steps


def fold_steps(rows: Mapping[UUID, WorkRow], events: Iterable[StoredEvent]) -> Sequence[Step]:
    """Return what each submission event does to its row, in the order of the log.

    Shape: events of other categories, and versions that a row has already, are passed over.
    """
    current = dict(rows)
    steps: list[Step] = []
    for stored in filter(_is_ours, events):
        before = current.get(stored.stream_id)
        if stored.version != (before.state.version if before else 0) + 1:
            continue
        event = read(stored)
        after = advance(before, event, stored)
        current[stored.stream_id] = after
        steps.append(Step(event, stored, before, after))
    return steps


def advance(before: WorkRow | None, event: Message, stored: StoredEvent) -> WorkRow:
    """Return the row after one more event of its stream."""
    at = stored.recorded_at
    known = before or WorkRow(Submission(), stored.trace_parent, None, None)
    after = submission.evolve(known.state, event, stored.version, at)
    sent = type_of(event) == "SubmissionDispatched"
    return WorkRow(
        state=after,
        trace_parent=known.trace_parent,
        dispatched_at=at if sent else known.dispatched_at,
        settled_at=(known.settled_at or at) if after.settled else None,
    )


async def load(connection: AsyncConnection, submission_ids: Iterable[UUID]) -> Mapping[UUID, WorkRow]:
    """Return the rows of these submissions; what has none is absent."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOAD, [list(submission_ids)])
        return {UUID(row["submission_id"]): row_of(row) async for row in cursor}


def row_of(columns: Mapping[str, Any]) -> WorkRow:
    """Return the row of these columns, ids as text."""
    members: dict[str, Any] = {name: columns[name] for name in _STATE}
    members["jobs"] = tuple(members["jobs"])
    state = Submission(**members)
    return WorkRow(state, columns["trace_parent"], columns["dispatched_at"], columns["settled_at"])


async def save(connection: AsyncConnection, rows: Mapping[UUID, WorkRow]) -> None:
    """Write rows, new and changed alike, in one statement."""
    if rows:
        columns = [_columns_of(row) for row in rows.values()]
        await connection.execute(_SAVE, [json.dumps(columns, default=str)])


def _columns_of(row: WorkRow) -> Mapping[str, object]:
    state = {name: getattr(row.state, name) for name in _STATE}
    return {**state, **{name: getattr(row, name) for name in _BESIDE}}


def _is_ours(stored: StoredEvent) -> bool:
    # Pulses are of the same category but have no version: they never move a submission.
    return stored.category == SUBMISSION and stored.version > 0
