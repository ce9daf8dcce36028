"""The port of the work queue: three priorities, each with a dead-letter queue, at-least-once, unordered.

A message is only a hint "look at submission X": the database decides. A message that a consumer does not
delete comes back when its visibility ends, and moves to the dead-letter queue after five receipts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast
from uuid import UUID

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from services.domain.kinds import Priority, Purpose

QueueName = Literal["p1", "p2", "p3", "p1-dlq", "p2-dlq", "p3-dlq"]

WORK_QUEUES: Final[tuple[QueueName, ...]] = ("p1", "p2", "p3")
DEAD_QUEUES: Final[tuple[QueueName, ...]] = ("p1-dlq", "p2-dlq", "p3-dlq")
RECEIPTS_MAX: Final = 5
BATCH_MAX: Final = 10
WAIT_SECONDS_MAX: Final = 20
DEAD_RETENTION_SECONDS: Final = 14 * 24 * 3600

_PRIORITIES: Final[dict[Priority, QueueName]] = {
    job_pb2.PRIORITY_P1: "p1",
    job_pb2.PRIORITY_P2: "p2",
    job_pb2.PRIORITY_P3: "p3",
}
_PURPOSES: Final[dict[Purpose, str]] = {
    job_pb2.ATTEMPT_PURPOSE_SUBMIT: "submit",
    job_pb2.ATTEMPT_PURPOSE_VERIFY: "verify",
}
_PURPOSE_NAMES: Final[dict[str, Purpose]] = {name: purpose for purpose, name in _PURPOSES.items()}


def queue_of(priority: Priority) -> QueueName:
    """Return the queue of a priority."""
    return _PRIORITIES[priority]


def dead_queue_of(queue: QueueName) -> QueueName:
    """Return the queue that takes what `queue` gave up."""
    return DEAD_QUEUES[WORK_QUEUES.index(queue)]


def work_queue_of(queue: QueueName) -> QueueName:
    """Return the queue that gives up to `queue`; a work queue's is itself."""
    return WORK_QUEUES[DEAD_QUEUES.index(queue)] if queue in DEAD_QUEUES else queue


@dataclass(frozen=True, slots=True)
class WorkMessage:
    """What a message says: look at this submission, for this purpose."""

    submission_id: UUID
    dispatch_id: UUID
    purpose: Purpose
    customer_id: UUID

    def to_body(self) -> str:
        """Return the text that goes through the queue."""
        return json.dumps(
            {
                "submission_id": str(self.submission_id),
                "dispatch_id": str(self.dispatch_id),
                "purpose": _PURPOSES[self.purpose],
                "customer_id": str(self.customer_id),
            }
        )


class UnreadableMessage(ValueError):
    """The body is not one of ours; `body` has it as it came. Leave it to the dead-letter queue."""

    def __init__(self, body: str, why: str) -> None:
        super().__init__(why)
        self.body = body


def parse_body(body: str) -> WorkMessage:
    """Return what a body says.

    Errors: UnreadableMessage when a field is missing, foreign or malformed.
    """
    fields = _fields(body)
    if fields.keys() != {"submission_id", "dispatch_id", "purpose", "customer_id"}:
        raise UnreadableMessage(body, "the body has other fields than a work message has")
    if fields["purpose"] not in _PURPOSE_NAMES:
        raise UnreadableMessage(body, "the purpose is none that we know")
    try:
        submission_id, dispatch_id, customer_id = (
            UUID(fields[name]) for name in ("submission_id", "dispatch_id", "customer_id")
        )
    except ValueError:
        raise UnreadableMessage(body, "an id is not a UUID") from None
    return WorkMessage(submission_id, dispatch_id, _PURPOSE_NAMES[fields["purpose"]], customer_id)


def _fields(body: str) -> dict[str, str]:
    try:
        decoded: object = json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: brackets upon brackets
        raise UnreadableMessage(body, "the body is not JSON") from None
    if not isinstance(decoded, dict):
        raise UnreadableMessage(body, "the body is not a JSON object")
    fields = cast("dict[str, object]", decoded)
    if not all(isinstance(value, str) for value in fields.values()):
        raise UnreadableMessage(body, "a field is not text")
    return cast("dict[str, str]", fields)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as received. `receipt` is good until the visibility ends; `trace_parent` may be empty."""

    queue: QueueName
    message_id: str
    body: str
    receipt: str
    receive_count: int
    sent_at: datetime
    trace_parent: str

    def work(self) -> WorkMessage:
        """Return what it says.

        Errors: UnreadableMessage.
        """
        return parse_body(self.body)

    def age_seconds(self, now: datetime) -> float:
        """Return how long ago it was sent."""
        return max(0.0, (now - self.sent_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds, approximately: ready, in somebody's hands, and not yet due."""

    visible: int
    in_flight: int
    delayed: int


class WorkQueue(Protocol):
    """Send, receive, settle."""

    async def ensure_queues(self) -> None:
        """Create the queues and their dead-letter queues where they lack, and set their rules.

        Errors: QueueDown.
        """
        ...

    async def send(self, queue: QueueName, message: WorkMessage, *, trace_parent: str = "") -> str:
        """Send a message and return the queue's id of it.

        Errors: QueueDown; the message may have been sent all the same.
        """
        ...

    async def receive(
        self, queue: QueueName, *, limit: int, wait_seconds: float, visibility_seconds: float
    ) -> Sequence[Received]:
        """Return up to `limit` messages; none when nothing came within `wait_seconds`.

        Shape: `limit` 1 to 10; `wait_seconds` 0 to 20, and a server may round it to whole seconds.
        Errors: QueueDown.
        """
        ...

    async def delete(self, received: Received) -> None:
        """Settle a message; one that went to somebody else in the meantime is left alone.

        Errors: QueueDown.
        """
        ...

    async def change_visibility(self, received: Received, seconds: float) -> None:
        """Hold a message for so many seconds from now; 0 gives it back at once.

        Errors: QueueDown.
        """
        ...

    async def depth(self, queue: QueueName) -> Depth:
        """Return how many messages the queue holds.

        Errors: QueueDown.
        """
        ...
