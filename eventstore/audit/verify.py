"""Recomputes the chain of a lane from its rows, and names the first position that does not fit.

What it cannot see is a log cut off at its end, or rewritten whole with all its hashes: for those there is
something outside of the database to compare with, which remembers `end` and its hash.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eventstore.audit.chain import GENESIS, link
from eventstore.types import LEDGER_LANE, Defect, Position, Verification

if TYPE_CHECKING:
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

EVENTS_PER_PAGE = 1_000


async def verify(
    store: EventStore, lane: int = LEDGER_LANE, *, until: Position | None = None
) -> Verification:
    """Verify a ledger lane from its first event to `until`, by default to its head now.

    Shape: with a defect, `end` and `events_count` tell how far the log is sound, and `first_bad` is the
    position that is missing (GAP), altered (HASH), or earlier than its predecessor (ORDER).
    Errors: StoreUnavailable.
    """
    until = until or await store.head(lane)
    sound = Verification(0, Position(lane, 0), None)
    previous = GENESIS
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
            sound = Verification(sound.events_count + 1, event.position, event.recorded_at)
    return sound


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
