"""What the domain refuses, as types; `services/runtime/errors.py` has the gRPC status of each.

DomainError
├── Refusal     the caller's fault: the same call fails again
├── Contention  somebody else was faster: read again, decide again
└── Trouble     ours, and passing: the same call may succeed later

A class's docstring is its default message. `reason` is the member of ErrorReason without its prefix;
`metadata` holds the dynamic values, so that programs need not parse sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DomainError(Exception):
    """The request cannot be done."""

    reason: ClassVar[str]

    def __init__(self, message: str | None = None, **metadata: str) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.metadata: Mapping[str, str] = metadata


class Refusal(DomainError):
    """The request is wrong; the same one fails again."""


class Contention(DomainError):
    """Somebody else was faster; read again and decide again."""


class Trouble(DomainError):
    """We cannot do it now; the same request may succeed later."""

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float = 1.0, **metadata: str
    ) -> None:
        super().__init__(message, **metadata)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is wrong, and what would be right."""

    field: str
    description: str


class InvalidArgument(Refusal):
    """A field of the request is missing, malformed or beyond its limit."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, *violations: FieldViolation) -> None:
        self.violations: Sequence[FieldViolation] = violations
        text = "; ".join(f"{each.field}: {each.description}" for each in violations[:5])
        super().__init__(text or None)


class InvalidProfile(InvalidArgument):
    """The profile breaks a limit."""

    reason = "INVALID_PROFILE"


class ApiKeyInvalid(Refusal):
    """No API key, or one that is unknown, expired or revoked: send `authorization: Bearer dbk_…`."""

    reason = "API_KEY_INVALID"


class ScopeMissing(Refusal):
    """The API key lacks the scope that this method asks for."""

    reason = "SCOPE_MISSING"


class NotFound(Refusal):
    """There is no such thing, or it is not yours."""


class CustomerNotFound(NotFound):
    """There is no such customer, or it is not yours."""

    reason = "CUSTOMER_NOT_FOUND"


class ProfileNotFound(NotFound):
    """There is no such profile, or it is not yours."""

    reason = "PROFILE_NOT_FOUND"


class DirectoryNotFound(NotFound):
    """There is no such directory in the catalogue."""

    reason = "DIRECTORY_NOT_FOUND"


class JobNotFound(NotFound):
    """There is no such job, or it is not yours."""

    reason = "JOB_NOT_FOUND"


class SubmissionNotFound(NotFound):
    """There is no such submission, or it is not yours."""

    reason = "SUBMISSION_NOT_FOUND"


class ProofNotFound(NotFound):
    """There is no such proof, or it is not yours."""

    reason = "PROOF_NOT_FOUND"


class WorkerNotFound(NotFound):
    """There is no such worker."""

    reason = "WORKER_NOT_FOUND"


class AlertNotFound(NotFound):
    """There is no such alert."""

    reason = "ALERT_NOT_FOUND"


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""

    reason = "DEAD_LETTER_NOT_FOUND"


class StreamNotFound(NotFound):
    """There is no such stream."""

    reason = "STREAM_NOT_FOUND"


class ProjectionNotFound(NotFound):
    """There is no such read model."""

    reason = "PROJECTION_NOT_FOUND"


class ProjectionStateForbids(Refusal):
    """The read model, or what is built beside it, does not allow this now."""

    reason = "PROJECTION_STATE"


class RequestIdReused(Refusal):
    """This request_id came before with another body; use a new one for a new request."""

    reason = "REQUEST_ID_REUSED"


class JobFinished(Refusal):
    """The job is finished and can change no more."""

    reason = "JOB_FINISHED"


class AlertStateForbids(Refusal):
    """The alert is in a state that does not allow this."""

    reason = "ALERT_STATE"


class PositionBeyondEnd(Refusal):
    """The position lies beyond the end of the log."""

    reason = "POSITION_BEYOND_END"


class CustomerErased(Refusal):
    """The customer was erased; the data cannot be read any more."""

    reason = "CUSTOMER_ERASED"


class EtagMismatch(Contention):
    """Somebody changed it since you read it; read it again."""

    reason = "ETAG_MISMATCH"


class StreamMovedOn(Contention):
    """The stream moved on; read again and decide again."""

    reason = "STREAM_MOVED_ON"


class LeaseLost(Contention):
    """The lease is no longer current; drop the work."""

    reason = "LEASE_LOST"


class RateLimited(Trouble):
    """Too many requests; wait as long as RetryInfo says."""

    reason = "RATE_LIMITED"


class Overloaded(Trouble):
    """More work waits than this process takes; try again soon."""

    reason = "OVERLOADED"


class StoreDown(Trouble):
    """The event store does not answer; try again soon."""

    reason = "STORE_UNAVAILABLE"


class QueueDown(Trouble):
    """The queue does not answer; try again soon."""

    reason = "QUEUE_UNAVAILABLE"


class Draining(Trouble):
    """The process is shutting down; another one will answer."""

    reason = "DRAINING"


class ReadModelBehind(Trouble):
    """The read model has not reached min_position within the deadline; try again."""

    reason = "READ_MODEL_BEHIND"


class EventUndecodable(DomainError):
    """A stored event does not decode; an operator has to look."""

    reason = "EVENT_UNDECODABLE"


class EventsDeleted(Refusal):
    """What was asked for was deleted when its time was over; the log begins later."""

    reason = "EVENTS_DELETED"


class LogDamaged(DomainError):
    """The log is not what was sealed; verify it."""

    reason = "LOG_DAMAGED"


class EventUnknown(DomainError):
    """A newer release stored an event that this one does not know; ask when this one is upgraded."""

    reason = "EVENT_UNKNOWN"


class CustomerBusy(Trouble):
    """Jobs of the customer are still being cancelled; ask again soon."""

    reason = "CUSTOMER_BUSY"


class ErasureNotFound(NotFound):
    """Nobody of this name was erased."""

    reason = "ERASURE_NOT_FOUND"
