"""One job's part of the log: its own events and those of its submissions, each with the states after it.

A submission that an earlier job had asked for enters with the event that joins it to this job; what
happened to it before comes right ahead of that event. So every reader gets the same sequence, whether it
watches live, comes late, or goes on after a break.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from directorybolt.event.v1 import job_events_pb2, submission_events_pb2

from eventstore.types import Position
from services.domain import events, job, submission

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from google.protobuf.message import Message

    from eventstore.types import StoredEvent
    from services.domain.kinds import State

    LoadHistory = Callable[[str], Awaitable[Sequence[StoredEvent]]]


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the job's sequence, and the submission after it, if it is one of a submission.

    `entry` is where in the log the event enters the sequence: its own position or, for what happened
    before a join, that of the join.
    """

    stored: StoredEvent
    submission: submission.Submission | None
    entry: Position

    @property
    def resume(self) -> Position:
        """The position to go on after this step without losing any: ahead of a join until it is done."""
        if self.stored.position == self.entry:
            return self.entry
        return Position(self.entry.lane, self.entry.number - 1)


class JobFollower:
    """Takes events in log order and yields the steps of one job; what it knows is as of the last step.

    `numbers` counts the submissions in each state, `changed_at` is when one of them last moved.

    `load_history` reads a submission's stream, as far as it goes by now.
    """

    def __init__(self, job_id: str, load_history: LoadHistory) -> None:
        self.job = job.Job()
        self.submissions: dict[str, submission.Submission] = {}
        self.numbers: Counter[State] = Counter()
        self.changed_at: datetime | None = None
        self._job_id = job_id
        self._load_history = load_history

    async def take(self, stored: StoredEvent) -> AsyncGenerator[Step]:
        """Yield what an event adds to the sequence; nothing when it is not this job's."""
        message = events.read(stored)
        stream_id = str(stored.stream_id)
        if stream_id == self._job_id:
            async for step in self._backlog(_named_by(message), stored):
                yield step
            self.job = job.evolve(self.job, message, stored.version, stored.recorded_at)
            yield Step(stored, None, stored.position)
        elif stream_id in self.submissions:
            yield self._advance(stored, stored.position)
        elif self._is_asked_for_by(message):
            async for step in self._backlog([stream_id], stored):
                yield step
            yield self._advance(stored, stored.position)

    async def _backlog(self, submission_ids: Iterable[str], entering: StoredEvent) -> AsyncGenerator[Step]:
        for submission_id in submission_ids:
            if submission_id in self.submissions:
                continue
            for stored in await self._load_history(submission_id):
                if stored.position.number < entering.position.number:
                    yield self._advance(stored, entering.position)

    def _advance(self, stored: StoredEvent, entry: Position) -> Step:
        stream_id = str(stored.stream_id)
        before = self.submissions.get(stream_id) or submission.Submission()
        message = events.read(stored)
        after = submission.evolve(before, message, stored.version, stored.recorded_at)
        self.submissions[stream_id] = after
        if before.version:
            self.numbers[before.state] -= 1
        self.numbers[after.state] += 1
        self.changed_at = max(filter(None, (self.changed_at, after.changed_at)))
        return Step(stored, after, entry)

    def _is_asked_for_by(self, message: Message) -> bool:
        asks = (submission_events_pb2.SubmissionRequested, submission_events_pb2.SubmissionJoined)
        return isinstance(message, asks) and message.job_id == self._job_id


def _named_by(message: Message) -> Sequence[str]:
    """Return the submissions that a plan names: some may be settled long since, and are never joined."""
    if isinstance(message, job_events_pb2.JobPlanned):
        return [each.submission_id for each in message.submissions]
    return ()
