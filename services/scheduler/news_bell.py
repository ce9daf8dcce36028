"""Wakes the loops when the read model has something new for them, so that nothing waits for a poll."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.following.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.following.projector import Projector
    from eventstore.store import EventStore
    from eventstore.types import Position
    from services.runtime.loop import Loop

WAIT_SECONDS_MAX: Final = 1.0
CATCH_UP_SECONDS_MAX: Final = 5.0


class NewsBell:
    """Follows the heads of the ledger's lanes; rings once the projection covers one that moved."""

    def __init__(self, store: EventStore, projector: Projector, loops: Sequence[Loop]) -> None:
        self._store = store
        self._projector = projector
        self._loops = loops
        self._ledger = Subscription(store, range(store.lanes))

    async def run_once(self) -> bool:
        """Wait for news and ring; True, since the next news may be there already.

        Errors: StoreUnavailable, TimeoutError when the read model does not follow.
        """
        await self._ledger.wait_for_news(WAIT_SECONDS_MAX)
        heard = self._ledger.positions
        moved = [head for head in await self._heads() if head.number > heard[head.lane]]
        for head in moved:
            await self._projector.wait_until(head, CATCH_UP_SECONDS_MAX)
            heard[head.lane] = head.number
        if moved:
            for loop in self._loops:
                loop.wake()
        return True

    async def _heads(self) -> Sequence[Position]:
        return [await self._store.head(lane) for lane in self._ledger.positions]
