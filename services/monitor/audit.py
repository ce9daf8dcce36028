"""Reads the log for auditors: one stream, all of it from a position on, and whether the chain is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.types import LEDGER_LANE, Filter, Position
from services.domain.errors import PositionBeyondEnd, StreamNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

PAGE_EVENTS: Final = 500
_POLL_SECONDS: Final = 1.0


class Audit:
    """Reads for one store."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def stream(
        self, stream_id: UUID, from_version: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        """Return a stream's events from a version on, and the version that the stream is at.

        Errors: StreamNotFound.
        """
        page = await self._store.read_stream(stream_id, from_version=max(1, from_version), limit=limit)
        if len(page) == limit:
            return page, await self._version(stream_id, page[-1].version)
        if page:
            return page, page[-1].version
        return page, await self._version(stream_id, 0)

    async def _version(self, stream_id: UUID, known: int) -> int:
        """Return the version of a stream that is at `known` at least."""
        while page := await self._store.read_stream(stream_id, from_version=known + 1, limit=PAGE_EVENTS):
            known = page[-1].version
        if not known:
            raise StreamNotFound(stream=str(stream_id))
        return known

    async def all(
        self, after: Sequence[Position], only: Filter, *, follow: bool
    ) -> AsyncGenerator[StoredEvent]:
        """Yield the ledger after a position, to the head of now or for ever.

        Errors: PositionBeyondEnd.
        """
        position = next((each for each in after if each.lane == LEDGER_LANE), Position(LEDGER_LANE, 0))
        head = await self._store.head()
        if position.number > head.number:
            raise PositionBeyondEnd
        while follow or position.number < head.number:
            page = await self._store.read_all(position, limit=PAGE_EVENTS, only=only)
            for event in page.events:
                yield event
            if page.scanned == position:
                await self._store.wait_for_news(position, _POLL_SECONDS)
            position = page.scanned
