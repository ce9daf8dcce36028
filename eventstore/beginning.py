"""Where a lane begins: at its first event, or behind what was deleted when its time was over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.errors import EventsDeleted
from eventstore.types import Position

if TYPE_CHECKING:
    from eventstore.store import EventStore


async def beginning(store: EventStore, lane: int) -> Position:
    """Return the position after which everything can be read that is still there.

    Errors: EventsArchived, StoreUnavailable.
    """
    start = Position(lane, 0)
    try:
        await store.read_all(start, limit=1)
    except EventsDeleted as deleted:
        return Position(lane, deleted.first_position - 1)
    return start
