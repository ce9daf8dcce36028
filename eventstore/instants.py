"""Finds an instant among events that the database no longer holds: by halving, as it does for its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.errors import EventsDeleted
from eventstore.types import Position

if TYPE_CHECKING:
    from datetime import datetime

    from eventstore.store import EventStore


async def position_at_or_before(store: EventStore, instant: datetime, found: Position) -> Position:
    """Return the last position up to `found` that was recorded at an instant or before it.

    Shape: what is not there any more counts as recorded before every instant. One read when `found` is it.
    Errors: EventsArchived, ArchiveDamaged, StoreUnavailable.
    """
    known, last, middle = 0, found.number, found.number
    while known < last:
        if await _is_recorded_by(store, instant, Position(found.lane, middle)):
            known = middle
        else:
            last = middle - 1
        middle = (known + last + 1) // 2
    return Position(found.lane, known)


async def _is_recorded_by(store: EventStore, instant: datetime, position: Position) -> bool:
    try:
        page = await store.read_all(Position(position.lane, position.number - 1), limit=1)
    except EventsDeleted:
        return True
    return not page.events or page.events[0].position != position or page.events[0].recorded_at <= instant
