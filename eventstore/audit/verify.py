"""Recomputes the chain of a lane from its rows, and names the first position that does not fit.

What it cannot see is a log cut off at its end, or rewritten whole with all its hashes: for those there is
something outside of the database to compare with, which remembers `end` and its hash.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eventstore.audit.chain import GENESIS, link
from eventstore.errors import EventsDeleted
from eventstore.types import LEDGER_LANE, Defect, Position, Verification

if TYPE_CHECKING:
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

EVENTS_PER_PAGE = 1_000


async def verify(
    store: EventStore, lane: int = LEDGER_LANE, *, until: Position | None = None
) -> Verification:
    """Verify a ledger lane from the first event that was not deleted to `until`, by default to its head now.

    Shape: with a defect, `end` and `events_count` tell how far the log is sound, and `first_bad` is the
    position that is missing (GAP), altered (HASH), or earlier than its predecessor (ORDER).
    Errors: StoreUnavailable.
    """
    until = until or await store.head(lane)
    sound, previous = await _beginning(store, lane)
    while sound.end.number < until.number:
        limit = min(EVENTS_PER_PAGE, until.number - sound.end.number)
        page = await store.read_all(sound.end, limit=limit)
        if not page.events:
            return _defective(sound, Defect.GAP)
        for event in page.events:
            defect = _defect(sound, previous, event)
            if defect is not None:
                return _defective(sound, defect)
            previous = event.hash
            sound = replace(
                sound,
                events_count=sound.events_count + 1,
                end=event.position,
                end_recorded_at=event.recorded_at,
            )
    return sound


async def _beginning(store: EventStore, lane: int) -> tuple[Verification, bytes]:
    """Return where there is something to verify, and what its first event is chained to."""
    try:
        await store.read_all(Position(lane, 0), limit=1)
    except EventsDeleted as deleted:
        before = deleted.first_position - 1
        sound = Verification(0, Position(lane, before), None, begins_after=before)
        return sound, deleted.end_hashes[lane]
    return Verification(0, Position(lane, 0), None), GENESIS


def _defect(sound: Verification, previous: bytes, event: StoredEvent) -> Defect | None:
    if event.position.number != sound.end.number + 1:
        return Defect.GAP
    if event.hash != link(previous, event):
        return Defect.HASH
    if sound.end_recorded_at is not None and event.recorded_at < sound.end_recorded_at:
        return Defect.ORDER
    return None


def _defective(sound: Verification, defect: Defect) -> Verification:
    return replace(sound, first_bad=Position(sound.end.lane, sound.end.number + 1), defect=defect)
