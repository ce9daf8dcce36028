"""What can go wrong in the event store.

EventStoreError
├── WrongExpectedVersion   contention: read again and decide again
├── EventIdReused          the caller's fault: an event id stands elsewhere already
├── InvalidAppend          the caller's fault: a limit is broken
├── AppendQueueFull        trouble: more appends wait than the process takes
├── StoreUnavailable       trouble: the database cannot be reached, or answers no more
├── LeaseLost              another process owns the projection now
├── EventsArchived         the events lie in object storage, and the store was opened without it
├── EventsDeleted          the events were deleted when their time was over
├── ArchiveDamaged         what object storage gave is not what was put there
├── HoleInLog              damage: a position is missing
├── PassingTrouble         trouble of a handler's own: it is tried again for as long as it takes
├── KeyDestroyed           the tenant was erased; sealed data cannot be opened any more
├── MasterKeyUnavailable   trouble: the master key's keeper does not answer, or refuses
├── MasterKeyMissing       a tenant's key is wrapped by a master key that this process was not given
├── LogDamaged             damage: the log is not what was sealed
├── SealConflict           damage: the archive of log seals and the database do not agree
├── SealArchiveUnavailable trouble: the archive of log seals does not answer, or refuses
└── UnknownEvent           a newer release stored what this one cannot read; no retry mends it

A class's docstring is its default message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
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


class HoleInLog(EventStoreError):
    """A position is missing from a lane that has no gaps: history was damaged, or tampered with."""

    def __init__(self, after: Position, found: int) -> None:
        super().__init__(f"lane {after.lane}: position {after.number} is followed by {found}")
        self.after = after
        self.found = found


class PassingTrouble(EventStoreError):
    """What the handler needs is away; the event is not to blame, and comes again."""


class KeyDestroyed(EventStoreError):
    """The tenant's key was destroyed; what it sealed cannot be opened any more."""


class MasterKeyUnavailable(EventStoreError):
    """Whoever keeps the master key does not answer; tenants' keys cannot be unwrapped."""


class MasterKeyMissing(EventStoreError):
    """A tenant's key is wrapped by a master key that this process was not given."""

    def __init__(self, master_key_id: str) -> None:
        super().__init__(
            f"a tenant's key is wrapped by {master_key_id}, which is not among the master keys here"
        )
        self.master_key_id = master_key_id


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


class EventsArchived(EventStoreError):
    """The events lie in object storage; open the store with it to read them."""

    def __init__(self, from_position: int, to_position: int, url: str) -> None:
        super().__init__(
            f"the events of positions {from_position} to {to_position} are archived at {url};"
            " open the store with that storage to read them"
        )
        self.from_position = from_position
        self.to_position = to_position
        self.url = url


class EventsDeleted(EventStoreError):
    """The events were deleted when their time was over; the log begins later.

    Shape: `end_hashes` says per lane what the event at `first_position` is chained to.
    """

    def __init__(self, first_position: int, end_hashes: Mapping[int, bytes]) -> None:
        super().__init__(
            f"the events before position {first_position} were deleted when their time was over;"
            " the log begins there"
        )
        self.first_position = first_position
        self.end_hashes = end_hashes


class ArchiveDamaged(EventStoreError):
    """What object storage gave is not what was put there; nothing of it was used."""

    def __init__(self, url: str, from_position: int, to_position: int) -> None:
        super().__init__(
            f"{url} is damaged: what it holds of positions {from_position} to {to_position}"
            " is not what was archived"
        )
        self.url = url
        self.from_position = from_position
        self.to_position = to_position


class LogDamaged(EventStoreError):
    """The log does not fit together; it is neither sealed nor exported any further."""


class SealConflict(EventStoreError):
    """The archive of log seals and the database do not agree."""


class SealArchiveUnavailable(EventStoreError):
    """The archive of log seals does not answer, or refused."""
