"""Follows lanes of the log from remembered positions, and trusts nothing: a hole raises an alarm.

Positions are gapless and readable in commit order, so a reader that goes on from where it was misses
nothing; there is no horizon to wait for and no gap to guess about. A number that is missing was destroyed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from eventstore.errors import HoleInLog
from eventstore.store import EVERYTHING
from eventstore.types import PULSE_LANE, Filter, Page, Position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

__all__ = ["EVENTS_PER_PAGE", "EVENTS_PER_PAGE_MAX", "HoleInLog", "Subscription"]

#: Where the size of pages begins; they grow while there is more to read than fits.
EVENTS_PER_PAGE: Final = 500
EVENTS_PER_PAGE_MAX: Final = 5_000
#: A page of large events is followed by smaller ones.
BYTES_PER_PAGE: Final = 8 * 1_048_576


class Subscription:
    """A reader of one lane or of several, which remembers how far it is in each."""

    def __init__(
        self,
        store: EventStore,
        lanes: Sequence[int],
        positions: Mapping[int, int] | None = None,
        *,
        only: Filter = EVERYTHING,
        page_max: int = EVENTS_PER_PAGE_MAX,
        until: Mapping[int, int] | None = None,
        read_ahead: bool = False,
    ) -> None:
        """Take the store and the positions to go on from; without them it begins at the beginning.

        Shape: `until` holds the last position wanted of each lane, None has no end. With `read_ahead` the
        next page is read while its caller is busy with one; then it wants to be closed.
        """
        self.positions = {lane: (positions or {}).get(lane, 0) for lane in lanes}
        self._store = store
        self._only = only
        self._page_max = page_max
        self._page_size = min(EVENTS_PER_PAGE, page_max)
        self._until = until
        self._read_ahead = read_ahead
        self._ahead: dict[Position, asyncio.Task[Page]] = {}
        self._turns = list(lanes)

    @property
    def has_ended(self) -> bool:
        """Whether every lane was read up to its end."""
        return self._until is not None and not any(map(self._is_wanted, self._turns))

    async def next_page(self) -> Page | None:
        """Return what follows in one of the lanes, in turn; None when all are read.

        The subscription stays where it is until `move`.
        Errors: HoleInLog, StoreUnavailable.
        """
        for lane in filter(self._is_wanted, list(self._turns)):
            after = Position(lane, self.positions[lane])
            self._turns.remove(lane)
            self._turns.append(lane)
            page = await self._read(after)
            if page.scanned != after:
                sound = self._sound(after, page)
                self._prepare_next(after, sound)
                return self._cut(sound)
        return None

    def move(self, page: Page) -> None:
        """Go on after a page."""
        self.positions[page.scanned.lane] = page.scanned.number

    def shrink(self) -> None:
        """Read smaller pages: the last one took too long."""
        self._page_size = max(1, min(self._page_size, self._page_max) // 2)

    async def wait_for_news(self, timeout_seconds: float) -> None:
        """Return when there may be news in any of the lanes, or after the timeout."""
        waits = [
            asyncio.ensure_future(self._store.wait_for_news(Position(lane, number), timeout_seconds))
            for lane, number in self.positions.items()
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(*waits)

    async def close(self) -> None:
        """End what is being read ahead."""
        ahead, self._ahead = list(self._ahead.values()), {}
        await _end(*ahead)

    async def _read(self, after: Position) -> Page:
        ahead = self._ahead.pop(after, None)
        if ahead is not None:
            return await ahead
        return await self._store.read_all(after, limit=self._page_size, only=self._only)

    def _prepare_next(self, after: Position, page: Page) -> None:
        """Choose the size of the next page, and begin to read it when this one was full."""
        if page.scanned.number - after.number < self._page_size:
            return
        if sum(len(each.payload) for each in page.events) > BYTES_PER_PAGE:
            self.shrink()
        elif len(page.events) >= self._page_size:
            self._page_size = min(self._page_size * 2, self._page_max)
        if self._read_ahead and page.scanned not in self._ahead:
            reading = self._store.read_all(page.scanned, limit=self._page_size, only=self._only)
            self._ahead[page.scanned] = asyncio.ensure_future(reading)

    def _is_wanted(self, lane: int) -> bool:
        return self._until is None or self.positions[lane] < self._until.get(lane, 0)

    def _cut(self, page: Page) -> Page:
        lane, number = page.scanned.lane, page.scanned.number
        last = number if self._until is None else min(number, self._until.get(lane, 0))
        if last == number:
            return page
        events = [each for each in page.events if each.position.number <= last]
        return Page(events, Position(lane, last))

    def _sound(self, after: Position, page: Page) -> Page:
        """Return a page up to the first hole in it; with nothing before the hole there is an alarm."""
        if self._only != EVERYTHING:
            return page if page.hole is None else self._before_hidden_hole(after, page, *page.hole)
        expected = after.number + 1
        if after.lane == PULSE_LANE and page.events:
            # Old pulses are dropped by the partition: a reader that was away for days begins later.
            expected = page.events[0].position.number
        for place, event in enumerate(page.events):
            if event.position.number != expected:
                return _before_hole(after, page.events[:place], event.position.number)
            expected += 1
        if page.scanned.number != expected - 1:
            return _before_hole(after, page.events, page.scanned.number)
        return page

    def _before_hidden_hole(self, after: Position, page: Page, before: int, found: int) -> Page:
        if before == after.number:
            raise HoleInLog(after, found)
        events = [each for each in page.events if each.position.number <= before]
        return Page(events, Position(after.lane, before))


def _before_hole(after: Position, events: Sequence[StoredEvent], found: int) -> Page:
    # In the pulse lane a page that begins late proves nothing, so what was found must be said at once.
    if not events or after.lane == PULSE_LANE:
        raise HoleInLog(events[-1].position if events else after, found)
    return Page(events, events[-1].position)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
