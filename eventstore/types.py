"""The values that cross the event store's port: frozen, in bytes and identifiers, free of meaning.

Names of categories and event types are text here and interned numbers in the database; payloads are
bytes that the store never opens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

ANY_VERSION: Final = -1
NO_STREAM: Final = 0

EVENTS_PER_APPEND_MAX: Final = 1_000
PAYLOAD_BYTES_MAX: Final = 1_048_576

LEDGER_LANE: Final = 0
PULSE_LANE: Final = -1


def new_event_id() -> UUID:
    """Return a fresh UUIDv7: unique, and near its neighbours in every index."""
    return uuid7()


def partition_of(stream_id: UUID, count: int) -> int:
    """Return the partition of `count` that a stream falls to; the same as es.partition_of_v1."""
    return (stream_id.int & 0xFFFF) % count


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append.

    Shape: `event_type` 1 to 100 characters; `payload` at most 1 MiB; `trace_parent` a W3C header or
    empty; `actor` at most 200 characters. `ignorable` is asked of the first event of a type only: may a
    reader that does not know the type pass over it?
    """

    event_type: str
    payload: bytes
    event_id: UUID = field(default_factory=new_event_id)
    schema_version: int = 1
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    trace_parent: str = ""
    actor: str = ""
    ignorable: bool = False


@dataclass(frozen=True, slots=True)
class StreamAppend:
    """Events for one stream, on condition that it is at `expected_version`.

    Shape: `expected_version` is ANY_VERSION, NO_STREAM, or the exact version found; at least one event.
    """

    stream_id: UUID
    category: str
    tenant: UUID
    events: Sequence[NewEvent]
    expected_version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log: in which lane, and how far. Compared within one lane only."""

    lane: int
    number: int


#: A moment in the log: a position, an instant of the store's clock, or None for now.
AsOf: TypeAlias = "Position | datetime | None"


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an append went.

    Shape: `versions` holds the version of each stream after it, in the order of the request;
    `duplicate` is True when the same event ids had been appended before, and this is the first answer; an
    append that the store itself had to send twice is no duplicate of itself.
    """

    versions: Sequence[int]
    position: Position
    recorded_at: datetime
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the log holds it.

    Shape: `hash` chains it to the event before it, and is empty in the pulse lane; `ignorable` is a property
    of its type: whoever does not know the type may pass over it.
    """

    position: Position
    stream_id: UUID
    category: str
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    payload: bytes
    tenant: UUID
    correlation_id: UUID | None
    causation_id: UUID | None
    trace_parent: str
    actor: str
    recorded_at: datetime
    hash: bytes
    ignorable: bool = False


def is_as_of(event: StoredEvent, as_of: AsOf) -> bool:
    """Return whether an event was there at a moment."""
    if isinstance(as_of, Position):
        return event.position.lane == as_of.lane and event.position.number <= as_of.number
    return as_of is None or event.recorded_at <= as_of


@dataclass(frozen=True, slots=True)
class Partitions:
    """Some of the `count` partitions that streams fall to, by the last two bytes of their ids.

    Shape: `count` 1 to 1,024; `chosen` from 0 to `count` - 1.
    """

    count: int
    chosen: frozenset[int]

    def have(self, stream_id: UUID) -> bool:
        """Return whether a stream falls to one of those chosen."""
        return partition_of(stream_id, self.count) in self.chosen


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a reader wants; empty means all of them."""

    categories: frozenset[str] = frozenset()
    event_types: frozenset[str] = frozenset()
    tenant: UUID | None = None
    partitions: Partitions | None = None

    def wants(self, event: StoredEvent) -> bool:
        """Return whether an event is one of those wanted."""
        return (
            (not self.categories or event.category in self.categories)
            and (not self.event_types or event.event_type in self.event_types)
            and (self.tenant is None or event.tenant == self.tenant)
            and (self.partitions is None or self.partitions.have(event.stream_id))
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Events in log order, and how far the log was looked at: `scanned` may lie beyond the last of them.

    Shape: `hole` is told where a filter hides it: the last position before the first that is missing, and the
    next that is there.
    """

    events: Sequence[StoredEvent]
    scanned: Position
    hole: tuple[int, int] | None = None


class Defect(Enum):
    """What a verifier found that does not fit."""

    GAP = "gap"
    HASH = "hash"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of recomputing the chain; `first_bad` and `defect` are None when it is intact.

    Shape: `begins_after` is 0, or the last position that was deleted when its time was over: what comes after
    it was held against the hash that the archive ended with.
    """

    events_count: int
    end: Position
    end_recorded_at: datetime | None
    first_bad: Position | None = None
    defect: Defect | None = None
    begins_after: int = 0
