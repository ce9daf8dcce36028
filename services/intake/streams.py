"""Reads streams the way answers need them: the state, and the position that it covers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from uuid import UUID

from services.domain import events
from services.runtime.ledger import JOB, SUBMISSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventstore.types import Position, StoredEvent
    from services.domain.job import Job
    from services.domain.submission import Submission
    from services.runtime.ledger import Aggregate, Ledger

S = TypeVar("S")

READS_AT_ONCE_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Covered(Generic[S]):
    """A state, and the position of the last event in it; None when there is no stream."""

    state: S
    position: Position | None


def folded(aggregate: Aggregate[S], history: Iterable[StoredEvent]) -> Covered[S]:
    """Return what a history comes to."""
    state, position = aggregate.empty(), None
    for stored in history:
        message = events.read(stored)
        state = aggregate.evolve(state, message, stored.version, stored.recorded_at)
        position = stored.position
    return Covered(state, position)


async def read_job(ledger: Ledger, job_id: UUID, customer_id: UUID) -> Covered[Job]:
    """Return a customer's job; version 0 when there is none, or it is another's."""
    return folded(JOB, await ledger.history(job_id, customer_id))


async def read_submission(ledger: Ledger, submission_id: UUID, customer_id: UUID) -> Covered[Submission]:
    """Return a customer's submission; version 0 when there is none, or it is another's."""
    return folded(SUBMISSION, await ledger.history(submission_id, customer_id))


async def read_histories(
    ledger: Ledger, stream_ids: Iterable[str], customer_id: UUID
) -> dict[str, Sequence[StoredEvent]]:
    """Return the histories of many streams of one customer, by stream id."""
    gate = asyncio.Semaphore(READS_AT_ONCE_MAX)

    async def _read(stream_id: str) -> Sequence[StoredEvent]:
        async with gate:
            return await ledger.history(UUID(stream_id), customer_id)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {each: group.create_task(_read(each)) for each in stream_ids}
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return {each: task.result() for each, task in tasks.items()}
