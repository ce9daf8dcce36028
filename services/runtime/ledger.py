"""The log as the services speak to it: messages instead of bytes, decisions instead of versions.

`change` is the one way to move a stream: read it, fold it, decide, append at the version that was read,
and when somebody else was faster do all of that again. A decision that says None changes nothing, which
is how a late worker, a doubled message and a second click of an operator come to rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from uuid import UUID

from eventstore.errors import WrongExpectedVersion
from eventstore.types import NewEvent, StreamAppend, new_event_id
from services.domain import events, identity, job, submission
from services.domain.errors import StreamMovedOn
from services.runtime.telemetry import current_trace_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from google.protobuf.message import Message

    from eventstore.store import EventStore
    from eventstore.types import Appended, StoredEvent

S = TypeVar("S")

TRIES_MAX: Final = 8
_PAGE_EVENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Stream:
    """Where events go: a stream's id, its category, and whose it is."""

    stream_id: UUID
    category: str
    tenant: UUID = identity.TENANT_ZERO


@dataclass(frozen=True, slots=True)
class Why:
    """What an append belongs to: the job, and the event that led to it."""

    correlation_id: UUID | None = None
    causation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """A stream before and after a decision; `appended` is None when it decided to do nothing."""

    before: S
    after: S
    appended: Appended | None

    @property
    def done(self) -> bool:
        """True when this call appended something."""
        return self.appended is not None


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S]):
    """How a stream is folded: its empty state, and one step."""

    empty: Callable[[], S]
    evolve: Callable[[S, Message, int, datetime], S]
    version: Callable[[S], int]


SUBMISSION: Final = Aggregate(submission.Submission, submission.evolve, lambda state: state.version)
JOB: Final = Aggregate(job.Job, job.evolve, lambda state: state.version)

NO_REASON: Final = Why()


def submission_stream(submission_id: str, customer_id: str) -> Stream:
    """Return the stream of a submission."""
    return Stream(UUID(submission_id), events.SUBMISSION, UUID(customer_id))


def job_stream(job_id: str, customer_id: str) -> Stream:
    """Return the stream of a job."""
    return Stream(UUID(job_id), events.JOB, UUID(customer_id))


class Ledger:
    """Reads and changes streams for one actor; `heard` is told when the store recorded an append."""

    def __init__(
        self, store: EventStore, actor: str, heard: Callable[[datetime], None] | None = None
    ) -> None:
        self.store = store
        self._actor = actor
        self._heard = heard

    def new_event(self, message: Message, why: Why = NO_REASON, event_id: UUID | None = None) -> NewEvent:
        """Return a message ready to append, with the current trace."""
        event_type = events.type_of(message)
        return NewEvent(
            event_type=event_type,
            schema_version=events.KNOWN.newest(event_type),
            ignorable=event_type in events.IGNORABLE,
            payload=message.SerializeToString(deterministic=True),
            event_id=event_id or new_event_id(),
            correlation_id=why.correlation_id,
            causation_id=why.causation_id,
            trace_parent=current_trace_parent(),
            actor=self._actor,
        )

    async def append(
        self,
        stream: Stream,
        messages: Sequence[Message],
        expected_version: int,
        why: Why = NO_REASON,
        event_ids: Sequence[UUID] = (),
    ) -> Appended:
        """Append to one stream.

        Shape: `event_ids` is empty or one per message; deterministic ones make a repeat harmless.
        Errors: those of EventStore.append.
        """
        ids = event_ids or [new_event_id() for _ in messages]
        appended = await self.store.append(
            StreamAppend(
                stream_id=stream.stream_id,
                category=stream.category,
                tenant=stream.tenant,
                events=[
                    self.new_event(message, why, event_id)
                    for message, event_id in zip(messages, ids, strict=True)
                ],
                expected_version=expected_version,
            )
        )
        if self._heard is not None:
            self._heard(appended.recorded_at)
        return appended

    async def pulse(self, stream: Stream, message: Message, why: Why = NO_REASON) -> None:
        """Append a sign of life."""
        await self.store.append_pulse(
            stream.stream_id, stream.category, stream.tenant, self.new_event(message, why)
        )

    async def history(self, stream_id: UUID, tenant: UUID | None = None) -> Sequence[StoredEvent]:
        """Return a whole stream, however long."""
        found: list[StoredEvent] = []
        while True:
            page = await self.store.read_stream(
                stream_id, from_version=len(found) + 1, limit=_PAGE_EVENTS, tenant=tenant
            )
            found.extend(page)
            if len(page) < _PAGE_EVENTS:
                return found

    async def load(self, aggregate: Aggregate[S], stream_id: UUID, tenant: UUID | None = None) -> S:
        """Return a stream's state; its empty state when there is no such stream."""
        return _fold(aggregate, aggregate.empty(), await self.history(stream_id, tenant))

    async def change(
        self,
        aggregate: Aggregate[S],
        stream: Stream,
        decide: Callable[[S], Sequence[Message] | None],
        why: Why = NO_REASON,
        event_ids: Callable[[S], Sequence[UUID]] | None = None,
    ) -> Change[S]:
        """Read, decide, append; again when the stream moved on meanwhile.

        Errors: StreamMovedOn when it moves on every time; those of EventStore.append.
        """
        for _ in range(TRIES_MAX):
            before = await self.load(aggregate, stream.stream_id)
            messages = decide(before)
            if not messages:
                return Change(before, before, None)
            ids = event_ids(before) if event_ids else ()
            try:
                appended = await self.append(stream, messages, aggregate.version(before), why, ids)
            except WrongExpectedVersion:
                continue
            after = _applied(aggregate, before, messages, appended.recorded_at)
            return Change(before, after, appended)
        raise StreamMovedOn

    async def submission(self, submission_id: str) -> submission.Submission:
        """Return a submission's state; version 0 when there is none."""
        return await self.load(SUBMISSION, UUID(submission_id))

    async def job(self, job_id: str) -> job.Job:
        """Return a job's state; version 0 when there is none."""
        return await self.load(JOB, UUID(job_id))

    async def change_submission(
        self,
        state: submission.Submission,
        decide: Callable[[submission.Submission], Sequence[Message] | None],
        why: Why = NO_REASON,
    ) -> Change[submission.Submission]:
        """Move a submission that is known to exist; `state` may be an old one."""
        stream = submission_stream(state.submission_id, state.customer_id)
        return await self.change(SUBMISSION, stream, decide, why)


def _fold(aggregate: Aggregate[S], state: S, history: Iterable[StoredEvent]) -> S:
    for stored in history:
        message = events.read(stored)
        state = aggregate.evolve(state, message, stored.version, stored.recorded_at)
    return state


def _applied(aggregate: Aggregate[S], state: S, messages: Sequence[Message], at: datetime) -> S:
    for message in messages:
        state = aggregate.evolve(state, message, aggregate.version(state) + 1, at)
    return state
