"""How a state came to be: each event of a stream with what it changed, by the domain's own `evolve`. Pure."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from directorybolt.job.v1 import job_pb2
from directorybolt.monitor.v1 import state_as_of_pb2 as pb
from google.protobuf.message import Message

from services.domain import events
from services.domain.attempts import timestamp
from services.domain.job import Job
from services.domain.submission import Submission
from services.runtime.ledger import JOB, SUBMISSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventstore.types import StoredEvent
    from services.runtime.ledger import Aggregate

    Enums = Mapping[str, Callable[[Any], str]]

S = TypeVar("S", Job, Submission)

#: Every event changes these: they stand beside the step.
_BESIDE: Final = frozenset({"version", "changed_at"})
_JOB_ENUMS: Final[Enums] = {
    "state": job_pb2.JobState.Name,
    "priority": job_pb2.Priority.Name,
    "package": job_pb2.Package.Name,
}
_SUBMISSION_ENUMS: Final[Enums] = {
    "state": job_pb2.SubmissionState.Name,
    "priority": job_pb2.Priority.Name,
    "purpose": job_pb2.AttemptPurpose.Name,
    "error_class": job_pb2.ErrorClass.Name,
}


class Explained(Generic[S]):
    """A stream folded step by step."""

    def __init__(
        self, name: str, aggregate: Aggregate[S], enums: Enums, history: Sequence[StoredEvent]
    ) -> None:
        """Fold a history, oldest first.

        Errors: UnknownEvent, EventUndecodable.
        """
        self._name = name
        self._aggregate = aggregate
        self._enums = enums
        self._steps: list[tuple[StoredEvent, S, S]] = []
        state = aggregate.empty()
        for stored in history:
            after = aggregate.evolve(state, events.read(stored), stored.version, stored.recorded_at)
            self._steps.append((stored, state, after))
            state = after
        self.state = state

    def view(self, token_of: Callable[[StoredEvent], str]) -> pb.ExplainedState:
        """Return the state and its steps as the contract shows them."""
        empty = self._aggregate.empty()
        return pb.ExplainedState(
            name=self._name,
            version=self._aggregate.version(self.state),
            fields=[
                pb.StateField(field=name, value=self._text(name, value))
                for name, value in _members(self.state)
                if value != getattr(empty, name)
            ],
            steps=[self._step(token_of(stored), stored, *states) for stored, *states in self._steps],
        )

    def _step(self, token: str, stored: StoredEvent, before: S, after: S) -> pb.StateStep:
        return pb.StateStep(
            version=stored.version,
            event_type=stored.event_type,
            record_time=timestamp(stored.recorded_at),
            actor=stored.actor,
            changes=[
                pb.StateChange(
                    field=name,
                    before=self._text(name, getattr(before, name)),
                    after=self._text(name, value),
                )
                for name, value in _members(after)
                if name not in _BESIDE and value != getattr(before, name)
            ],
            position=token,
            trace_id=trace_id_of(stored.trace_parent),
            event_id=str(stored.event_id),
        )

    def _text(self, name: str, value: Any) -> str:
        if name in self._enums:
            return self._enums[name](value) if value else ""
        return text_of(value)


def explain_job(job_id: str, history: Sequence[StoredEvent]) -> Explained[Job]:
    """Fold a job's stream."""
    return Explained(f"jobs/{job_id}", JOB, _JOB_ENUMS, history)


def explain_submission(submission_id: str, history: Sequence[StoredEvent]) -> Explained[Submission]:
    """Fold a submission's stream."""
    return Explained(f"submissions/{submission_id}", SUBMISSION, _SUBMISSION_ENUMS, history)


def text_of(value: object) -> str:
    """Return a member of a state in words; empty for nothing.

    Shape: instants in UTC, lengths of time in seconds, sealed words by their number of bytes.
    """
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return ", ".join(text_of(each) for each in cast("tuple[object, ...]", value))
    return json.dumps(_plain(value)) if isinstance(value, Message) else _scalar(value)


def _scalar(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{value.total_seconds():g} s"
        case bytes():
            return value.hex()
        case _:
            return str(value)


def trace_id_of(trace_parent: str) -> str:
    """Return the trace of a W3C header; empty when there is none."""
    parts = trace_parent.split("-")
    return parts[1] if len(parts) == len(("version", "trace", "span", "flags")) else ""


def _members(state: Job | Submission) -> Sequence[tuple[str, Any]]:
    return [(each.name, getattr(state, each.name)) for each in fields(state)]


def _plain(message: Message) -> Mapping[str, object]:
    return {field.name: _plain_value(value) for field, value in message.ListFields()}


def _plain_value(value: object) -> object:
    match value:
        case Message():
            return _plain(value)
        case bytes():
            return f"{len(value)} bytes"
        case bool() | int() | float() | str():
            return value
        case _:
            return [_plain_value(each) for each in cast("Sequence[object]", value)]
