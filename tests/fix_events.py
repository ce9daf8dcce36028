"""Events to append in tests, and the time of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from eventstore.types import ANY_VERSION, NewEvent, Position, StreamAppend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

TENANT = UUID("0190a000-0000-7000-8000-000000000001")
OTHER_TENANT = UUID("0190a000-0000-7000-8000-000000000002")


def wall_time() -> datetime:
    """Return the time of day: the store takes a clock, and any will do here."""
    return datetime.now(UTC)  # noqa: TID251 - same


def event(payload: bytes = b"\x01\x02", event_type: str = "test.v1.Happened") -> NewEvent:
    """Return an event with a fresh id."""
    return NewEvent(event_type, payload)


def append_to(
    stream_id: UUID | None = None,
    count: int = 1,
    *,
    expected: int = ANY_VERSION,
    tenant: UUID = TENANT,
    category: str = "job",
) -> StreamAppend:
    """Return an append of `count` fresh events, by default to a stream that nobody else has."""
    events = [event(bytes([number % 256])) for number in range(count)]
    return StreamAppend(stream_id or uuid4(), category, tenant, events, expected)


async def read_everything(store: EventStore, lane: int = 0, page: int = 1_000) -> Sequence[StoredEvent]:
    """Return a whole lane, read page by page."""
    after = Position(lane, 0)
    found: list[StoredEvent] = []
    while True:
        read = await store.read_all(after, limit=page)
        if read.scanned == after:
            return found
        found += read.events
        after = read.scanned
