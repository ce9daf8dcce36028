"""Follows lanes of the log from remembered positions, and trusts nothing: a hole raises an alarm.

Positions are gapless and readable in commit order, so a reader that goes on from where it was misses
nothing; there is no horizon to wait for and no gap to guess about. A number that is missing was destroyed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventstore.store import EVERYTHING
from eventstore.types import PULSE_LANE, Filter, Page, Position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventstore.store import EventStore

EVENTS_PER_PAGE = 500


class HoleInLog(RuntimeError):
    """A position is missing from a lane that has no gaps: history was damaged, or tampered with."""

    def __init__(self, after: Position, found: int) -> None:
        super().__init__(f"lane {after.lane}: position {after.number} is followed by {found}")
        self.after = after
        self.found = found


class Subscription:
    """A reader of one lane or of several, which remembers how far it is in each."""

    def __init__(
        self,
        store: EventStore,
        lanes: Sequence[int],
        positions: Mapping[int, int] | None = None,
        *,
        only: Filter = EVERYTHING,
        page_max: int = EVENTS_PER_PAGE,
    ) -> None:
        """Take the store and the positions to go on from; without them it begins at the beginning."""
        self.positions = {lane: (positions or {}).get(lane, 0) for lane in lanes}
        self._store = store
        self._only = only
        self._page_max = page_max
        self._turns = list(lanes)

    async def next_page(self) -> Page | None:
        """Return what follows in one of the lanes, in turn; None when all are read.

        The subscription stays where it is until `move`.
        Errors: HoleInLog, StoreUnavailable.
        """
        for lane in list(self._turns):
            after = Position(lane, self.positions[lane])
            self._turns.append(self._turns.pop(0))
            page = await self._store.read_all(after, limit=self._page_max, only=self._only)
            if page.scanned != after:
                self._check(after, page)
                return page
        return None

    def move(self, page: Page) -> None:
        """Go on after a page."""
        self.positions[page.scanned.lane] = page.scanned.number

    async def wait_for_news(self, timeout_seconds: float) -> None:
        """Return when there may be news in any of the lanes, or after the timeout."""
        waits = [
            asyncio.ensure_future(self._store.wait_for_news(Position(lane, number), timeout_seconds))
            for lane, number in self.positions.items()
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _check(self, after: Position, page: Page) -> None:
        if self._only != EVERYTHING:
            return
        expected = after.number + 1
        if after.lane == PULSE_LANE and page.events:
            # Old pulses are dropped by the partition: a reader that was away for days begins later.
            expected = page.events[0].position.number
        for event in page.events:
            if event.position.number != expected:
                raise HoleInLog(Position(after.lane, expected - 1), event.position.number)
            expected += 1
        if page.scanned.number != expected - 1:
            raise HoleInLog(Position(after.lane, expected - 1), page.scanned.number)
