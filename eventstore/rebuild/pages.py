"""Reads the lanes of a projection up to chosen positions, and no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.following.subscription import Subscription
from eventstore.lanes import followed
from eventstore.types import Page, Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from eventstore.following.projection import Projection
    from eventstore.store import EventStore


async def pages_until(
    store: EventStore,
    projection: Projection,
    after: Mapping[int, int],
    until: Mapping[int, int],
    page_max: int,
) -> AsyncGenerator[Page]:
    """Yield pages of each lane in turn, from behind `after` up to `until`.

    Errors: HoleInLog, StoreUnavailable.
    """
    lanes = {
        lane: Subscription(store, [lane], after, only=projection.only, page_max=page_max)
        for lane in followed(projection.lanes, store.lanes)
        if after.get(lane, 0) < until.get(lane, 0)
    }
    while lanes:
        for lane, subscription in list(lanes.items()):
            page = await subscription.next_page()
            if page is None:
                del lanes[lane]
                continue
            cut = _cut(page, until[lane])
            yield cut
            subscription.move(cut)
            if cut.scanned.number >= until[lane]:
                del lanes[lane]


def _cut(page: Page, until: int) -> Page:
    if page.scanned.number <= until:
        return page
    events = [event for event in page.events if event.position.number <= until]
    return Page(events, Position(page.scanned.lane, until))
