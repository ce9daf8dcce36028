"""Wakes the loops when the read model has something new for them, so that nothing waits for a poll."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.types import LEDGER_LANE, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.projector import Projector
    from eventstore.store import EventStore
    from services.runtime.loop import Loop

WAIT_SECONDS_MAX: Final = 1.0
CATCH_UP_SECONDS_MAX: Final = 5.0


class NewsBell:
    """Follows the head of the ledger; rings once the projection covers it."""

    def __init__(self, store: EventStore, projector: Projector, loops: Sequence[Loop]) -> None:
        self._store = store
        self._projector = projector
        self._loops = loops
        self._heard = Position(LEDGER_LANE, 0)

    async def run_once(self) -> bool:
        """Wait for news and ring; True, since the next news may be there already.

        Errors: StoreUnavailable, TimeoutError when the read model does not follow.
        """
        await self._store.wait_for_news(self._heard, WAIT_SECONDS_MAX)
        head = await self._store.head(LEDGER_LANE)
        if head.number > self._heard.number:
            await self._projector.wait_until(head, CATCH_UP_SECONDS_MAX)
            self._heard = head
            for loop in self._loops:
                loop.wake()
        return True
