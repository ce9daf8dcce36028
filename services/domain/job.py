"""A job: one order, folded from its stream, and what may happen to it next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from directorybolt.event.v1 import job_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from services.domain.events import type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from directorybolt.event.v1.profile_events_pb2 import Sealed
    from google.protobuf.message import Message

    from services.domain.kinds import JobState, Package, Priority, State

FINISHED: Final[frozenset[JobState]] = frozenset({job_pb2.JOB_STATE_COMPLETED, job_pb2.JOB_STATE_CANCELLED})

_COUNT_BY_STATE: Final[Mapping[State, str]] = {
    job_pb2.SUBMISSION_STATE_LISTED: "listed",
    job_pb2.SUBMISSION_STATE_PENDING_REVIEW: "pending_review",
    job_pb2.SUBMISSION_STATE_PENDING_CONFIRMATION: "pending_confirmation",
    job_pb2.SUBMISSION_STATE_ALREADY_LISTED: "already_listed",
    job_pb2.SUBMISSION_STATE_NEEDS_HUMAN: "needs_human",
    job_pb2.SUBMISSION_STATE_REFUSED: "refused",
    job_pb2.SUBMISSION_STATE_DEAD_LETTERED: "dead_lettered",
    job_pb2.SUBMISSION_STATE_CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job at `version`; version 0 means that it does not exist."""

    version: int = 0
    job_id: str = ""
    customer_id: str = ""
    profile_id: str = ""
    profile_version: int = 0
    directory_ids: tuple[str, ...] = ()
    package: Package = job_pb2.PACKAGE_UNSPECIFIED
    priority: Priority = job_pb2.PRIORITY_UNSPECIFIED
    state: JobState = job_pb2.JOB_STATE_UNSPECIFIED
    body_hash: bytes = b""
    planned: tuple[facts.PlannedSubmission, ...] = ()
    #: As the final event counted them; None while the job runs.
    final_counts: job_pb2.SubmissionCounts | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """True when the job can change no more."""
        return self.state in FINISHED


def evolve(state: Job, event: Message, version: int, recorded_at: datetime) -> Job:
    """Return the state after one more event of the stream."""
    step = _STEPS.get(type_of(event))
    after = step(state, event, recorded_at) if step else state
    return replace(after, version=version, changed_at=recorded_at)


def fold(history: Iterable[tuple[Message, int, datetime]]) -> Job:
    """Return the state after a whole stream of (event, version, recorded_at)."""
    state = Job()
    for event, version, recorded_at in history:
        state = evolve(state, event, version, recorded_at)
    return state


def _accepted(_state: Job, event: Message, at: datetime) -> Job:
    fact = cast("facts.JobAccepted", event)
    return Job(
        job_id=fact.job_id,
        customer_id=fact.customer_id,
        profile_id=fact.profile_id,
        profile_version=fact.profile_version,
        directory_ids=tuple(fact.directory_ids),
        package=fact.package,
        priority=fact.priority,
        state=job_pb2.JOB_STATE_ACCEPTED,
        body_hash=fact.body_hash,
        created_at=at,
    )


def _planned(state: Job, event: Message, _at: datetime) -> Job:
    fact = cast("facts.JobPlanned", event)
    running = state.state == job_pb2.JOB_STATE_ACCEPTED
    after = job_pb2.JOB_STATE_RUNNING if running else state.state
    return replace(state, planned=tuple(fact.submissions), state=after)


def _cancel_requested(state: Job, _event: Message, _at: datetime) -> Job:
    return replace(state, state=job_pb2.JOB_STATE_CANCELLING)


def _completed(state: Job, event: Message, at: datetime) -> Job:
    fact = cast("facts.JobCompleted", event)
    return replace(state, state=job_pb2.JOB_STATE_COMPLETED, final_counts=fact.counts, ended_at=at)


def _cancelled(state: Job, event: Message, at: datetime) -> Job:
    fact = cast("facts.JobCancelled", event)
    return replace(state, state=job_pb2.JOB_STATE_CANCELLED, final_counts=fact.counts, ended_at=at)


_STEPS: Final[Mapping[str, Callable[[Job, Message, datetime], Job]]] = {
    "JobAccepted": _accepted,
    "JobPlanned": _planned,
    "JobCancelRequested": _cancel_requested,
    "JobCompleted": _completed,
    "JobCancelled": _cancelled,
}


def count(states: Iterable[State]) -> job_pb2.SubmissionCounts:
    """Return how many submissions are in which state."""
    return counts_from(Counter(states))


def counts_from(numbers: Mapping[State, int]) -> job_pb2.SubmissionCounts:
    """Return the counts of so many submissions in each state."""
    counts = job_pb2.SubmissionCounts()
    for state, number in numbers.items():
        member = _COUNT_BY_STATE.get(state, "open")
        setattr(counts, member, getattr(counts, member) + number)
        counts.total += number
    return counts


def plan(state: Job, submissions: Sequence[facts.PlannedSubmission]) -> Sequence[Message] | None:
    """Record which submissions make up the job; once."""
    if state.version == 0 or state.planned or state.finished:
        return None
    return [facts.JobPlanned(job_id=state.job_id, submissions=submissions)]


def request_cancel(state: Job, details: Sealed | None) -> Sequence[Message] | None:
    """Ask for a cancel, with the words of whoever asks; None when one is under way or the job is finished."""
    if state.finished or state.state == job_pb2.JOB_STATE_CANCELLING:
        return None
    return [facts.JobCancelRequested(job_id=state.job_id, details=details)]


def finish(state: Job, submissions: Iterable[State]) -> Sequence[Message] | None:
    """End a job whose submissions are all settled."""
    counts = count(submissions)
    if state.finished or counts.open or counts.total != len(state.planned):
        return None
    if state.state == job_pb2.JOB_STATE_CANCELLING:
        return [facts.JobCancelled(job_id=state.job_id, counts=counts)]
    if state.state == job_pb2.JOB_STATE_RUNNING:
        return [facts.JobCompleted(job_id=state.job_id, counts=counts)]
    return None
