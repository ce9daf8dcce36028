"""Follows a job: its history, then what comes, from any position on, until the job ends."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from directorybolt.intake.v1 import jobs_pb2

from eventstore.types import Filter, Position
from services.domain import events
from services.domain.errors import FieldViolation, InvalidArgument, JobNotFound, PositionBeyondEnd
from services.intake.follow_job import JobFollower
from services.intake.streams import folded, read_histories
from services.intake.views import Progress, counts_of, job_view
from services.runtime.event_view import event_view
from services.runtime.ledger import JOB

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from eventstore.types import StoredEvent
    from services.intake.evidence_details import SubmissionPresenter
    from services.intake.follow_job import Step
    from services.intake.names import Owned
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger
    from services.runtime.tokens import TokenSealer

_BATCH_EVENTS: Final = 500
_LOOK_AGAIN_SECONDS: Final = 5.0
#: News wakes every watcher, whosesoever it is: this bounds how often each one looks.
_GATHER_SECONDS: Final = 0.05
_CATEGORIES: Final = frozenset({events.JOB, events.SUBMISSION})


class JobWatcher:
    """Streams the steps of a job; keeps nothing between streams."""

    def __init__(
        self, ledger: Ledger, presenter: SubmissionPresenter, sealer: TokenSealer, clock: Clock
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._presenter = presenter
        self._sealer = sealer

    async def watch(self, name: Owned, after_token: str) -> AsyncGenerator[jobs_pb2.WatchJobResponse]:
        """Yield each step after the token's position; ends with the job.

        Errors: JobNotFound; InvalidArgument for a token that is no place in this job's part of the log;
        PositionBeyondEnd.
        """
        first = await self._ledger.store.read_stream(name.id, limit=1, tenant=name.customer_id)
        if not first:
            raise JobNotFound(job=str(name.id))
        head = await self._ledger.store.head(first[0].position.lane)
        after = self._read_after(after_token, head)
        follower = JobFollower(str(name.id), lambda each: self._load(each, name))
        async with aclosing(self._log(name, first[0].position, head)) as log:
            async for stored in log:
                async for step in follower.take(stored):
                    if step.entry.number > after.number:
                        yield await self._response(step, follower)
                if follower.job.finished:
                    return

    def _read_after(self, token: str, head: Position) -> Position:
        positions = self._sealer.read_position(token, field="after_position")
        if not positions:
            return Position(head.lane, 0)
        for each in positions:
            if each.lane == head.lane:
                if each.number > head.number:
                    raise PositionBeyondEnd
                return each
        description = "belongs to another part of the log: send one that watching this job gave"
        raise InvalidArgument(FieldViolation("after_position", description))

    async def _load(self, submission_id: str, name: Owned) -> Sequence[StoredEvent]:
        return (await read_histories(self._ledger, [submission_id], name.customer_id))[submission_id]

    async def _log(self, name: Owned, first: Position, head: Position) -> AsyncGenerator[StoredEvent]:
        """Yield at least this job's events, in order, without end.

        What is planned is read from its own streams, up to the head; only what comes after it, and the
        short time before the plan, is picked out of all that the customer does.
        """
        own = await self._ledger.history(name.id, name.customer_id)
        past = [each for each in own if each.position.number <= head.number]
        planned = folded(JOB, past).state.planned
        after = Position(first.lane, first.number - 1)
        if planned:
            ids = [each.submission_id for each in planned]
            for history in (await read_histories(self._ledger, ids, name.customer_id)).values():
                past.extend(each for each in history if each.position.number <= head.number)
            for stored in sorted(past, key=lambda each: each.position.number):
                yield stored
            after = head
        async with aclosing(self._tail(name, after)) as tail:
            async for stored in tail:
                yield stored

    async def _tail(self, name: Owned, after: Position) -> AsyncGenerator[StoredEvent]:
        only = Filter(categories=_CATEGORIES, tenant=name.customer_id)
        while True:
            page = await self._ledger.store.read_all(after, limit=_BATCH_EVENTS, only=only)
            for stored in page.events:
                yield stored
            if page.scanned == after:
                await self._ledger.store.wait_for_news(after, _LOOK_AGAIN_SECONDS)
            elif not page.events:
                await self._clock.sleep(_GATHER_SECONDS)
            after = page.scanned

    async def _response(self, step: Step, follower: JobFollower) -> jobs_pb2.WatchJobResponse:
        token = self._sealer.position_token(step.resume)
        counts = counts_of(follower.numbers, len(follower.job.planned))
        progress = Progress(counts, follower.changed_at, token)
        response = jobs_pb2.WatchJobResponse(
            event=event_view(step.stored, self._sealer), job=job_view(follower.job, progress), position=token
        )
        if step.submission is not None:
            response.submission.CopyFrom(await self._presenter.show(step.submission))
        return response
