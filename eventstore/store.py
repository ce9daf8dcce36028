"""The port of the event store: what every adapter promises, and tests/contract proves of each.

Appends are atomic and ordered; positions are gapless within a lane and readable in commit order, so a
reader that remembers a position never misses an event. Everything is async.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventstore.types import LEDGER_LANE, Filter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.types import Appended, AsOf, NewEvent, Page, Position, StoredEvent, StreamAppend

EVERYTHING = Filter()


class EventStore(Protocol):
    """Append, read and follow."""

    @property
    def lanes(self) -> int:
        """How many lanes the ledger has: 0 to `lanes` - 1, each with its own positions and its own chain."""
        ...

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append to one stream, or to several atomically.

        Shape: at most 64 streams and 1,000 events together. Sent again with the same event ids it
        gives the first answer, marked as duplicate.
        Errors: WrongExpectedVersion, EventIdReused, InvalidAppend, AppendQueueFull, StoreUnavailable.
        """
        ...

    async def append_pulse(self, stream_id: UUID, category: str, tenant: UUID, event: NewEvent) -> None:
        """Append a sign of life to the pulse lane: unchained, unversioned, kept for days.

        Errors: InvalidAppend, AppendQueueFull, StoreUnavailable.
        """
        ...

    async def read_stream(
        self,
        stream_id: UUID,
        *,
        from_version: int = 1,
        limit: int = 1_000,
        tenant: UUID | None = None,
        as_of: AsOf = None,
    ) -> Sequence[StoredEvent]:
        """Return the stream's events from `from_version` on, oldest first; none when there is no stream.

        With `tenant` the database itself withholds what is another's. With `as_of` it is read as it was
        then; a position says nothing about streams of other lanes, and shows nothing of them.
        Errors: StoreUnavailable.
        """
        ...

    async def position_at(self, instant: datetime, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane that was recorded at an instant or before it.

        Shape: 0 when there is none, or one less than the first that is still there; costs log n.
        Errors: StoreUnavailable.
        """
        ...

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Return what follows `after` in its lane, at most `limit` events, and how far was looked.

        Errors: StoreUnavailable.
        """
        ...

    async def head(self, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane; number 0 when it is empty."""
        ...

    async def wait_for_news(self, after: Position, timeout_seconds: float) -> None:
        """Return when there may be something after `after`, or after the timeout; it may wake early."""
        ...
