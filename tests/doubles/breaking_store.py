"""A store that breaks at one append: before it, or after it has happened and without saying so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.errors import StoreUnavailable
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE, Filter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.store import EventStore
    from eventstore.types import Appended, AsOf, NewEvent, Page, Position, StoredEvent, StreamAppend


@dataclass(slots=True)
class BreakingStore:
    """An EventStore whose append number `breaks_at`, counted from 0, and all after it fail."""

    inner: EventStore
    breaks_at: int
    #: True: the append at which it breaks has happened all the same.
    after: bool
    _appends: int = 0

    @property
    def lanes(self) -> int:
        """Say how many lanes there are."""
        return self.inner.lanes

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append, until it breaks."""
        number, self._appends = self._appends, self._appends + 1
        if number < self.breaks_at:
            return await self.inner.append(*appends)
        if number == self.breaks_at and self.after:
            await self.inner.append(*appends)
        raise StoreUnavailable

    async def append_pulse(self, stream_id: UUID, category: str, tenant: UUID, event: NewEvent) -> None:
        """Append a pulse; these never break."""
        await self.inner.append_pulse(stream_id, category, tenant, event)

    async def read_stream(
        self,
        stream_id: UUID,
        *,
        from_version: int = 1,
        limit: int = 1_000,
        tenant: UUID | None = None,
        as_of: AsOf = None,
    ) -> Sequence[StoredEvent]:
        """Read a stream."""
        return await self.inner.read_stream(
            stream_id, from_version=from_version, limit=limit, tenant=tenant, as_of=as_of
        )

    async def position_at(self, instant: datetime, lane: int = LEDGER_LANE) -> Position:
        """Find the position of an instant."""
        return await self.inner.position_at(instant, lane)

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Read a lane."""
        return await self.inner.read_all(after, limit=limit, only=only)

    async def head(self, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane."""
        return await self.inner.head(lane)

    async def wait_for_news(self, after: Position, timeout_seconds: float) -> None:
        """Wait for news."""
        await self.inner.wait_for_news(after, timeout_seconds)
