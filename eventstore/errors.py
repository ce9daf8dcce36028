"""What can go wrong in the event store.

EventStoreError
├── WrongExpectedVersion   contention: read again and decide again
├── EventIdReused          the caller's fault: an event id stands elsewhere already
├── InvalidAppend          the caller's fault: a limit is broken
├── AppendQueueFull        trouble: more appends wait than the process takes
├── StoreUnavailable       trouble: the database cannot be reached, or answers no more
├── LeaseLost              another process owns the projection now
├── KeyDestroyed           the tenant was erased; sealed data cannot be opened any more
└── UnknownEvent           a newer release stored what this one cannot read; no retry mends it

A class's docstring is its default message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from eventstore.types import Position


class EventStoreError(Exception):
    """The event store refused or failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class WrongExpectedVersion(EventStoreError):
    """The stream is not at the version that the append expected; nothing was written."""

    def __init__(self, stream_id: UUID, expected: int, found: int) -> None:
        super().__init__(f"stream {stream_id} is at version {found}, not {expected}; nothing was written")
        self.stream_id = stream_id
        self.expected = expected
        self.found = found


class EventIdReused(EventStoreError):
    """One of the event ids belongs to another append already; nothing was written."""


class InvalidAppend(EventStoreError):
    """The append breaks a limit of the store; nothing was written."""


class AppendQueueFull(EventStoreError):
    """More appends are waiting than this process takes; nothing was written."""


class StoreUnavailable(EventStoreError):
    """The database does not answer; send the same append again, with the same event ids."""


class LeaseLost(EventStoreError):
    """Another process owns this projection now; what this one did was not saved."""


class KeyDestroyed(EventStoreError):
    """The tenant's key was destroyed; what it sealed cannot be opened any more."""


class UnknownEvent(EventStoreError):
    """The log holds an event of a type or version that this program does not know."""

    def __init__(self, event_type: str, schema_version: int, position: Position | None = None) -> None:
        at = "" if position is None else f" at position {position.number} of lane {position.lane}"
        super().__init__(
            f"{event_type}, version {schema_version},{at} is not known here: run the release that wrote it"
        )
        self.event_type = event_type
        self.schema_version = schema_version
        self.position = position
