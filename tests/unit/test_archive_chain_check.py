"""What the archive holds events against: every alteration is named by its position."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from eventstore.archive.chain_check import ChainCheck, LaneRange, Seal
from eventstore.archive.session import ArchiveRefused
from eventstore.audit.chain import GENESIS, leaf, link
from eventstore.audit.merkle import root_of
from eventstore.memory import MemoryEventStore
from eventstore.types import Position
from tests.fix_events import append_to, wall_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.types import StoredEvent


@pytest_asyncio.fixture
async def log() -> Sequence[StoredEvent]:
    """Give twenty events."""
    store = MemoryEventStore(wall_time)
    await store.append(append_to(count=20))
    return (await store.read_all(Position(0, 0))).events


def seal(number: int, events: Sequence[StoredEvent]) -> Seal:
    """Return the seal over some events."""
    last = events[-1]
    return Seal(number, last.position.number, root_of(map(leaf, events)), last.hash)


def check(events: Sequence[StoredEvent], seals: Sequence[Seal] = ()) -> bytes:
    """Follow events to the end and return the end hash."""
    checked = ChainCheck(LaneRange(0, 1, 20, GENESIS, seals))
    checked.add(events[:7])
    checked.add(events[7:])
    checked.finish()
    return checked.end_hash


def rechained(events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """Return the events with all hashes made anew, as somebody would who knows how."""
    previous = GENESIS
    found: list[StoredEvent] = []
    for event in events:
        previous = link(previous, event)
        found.append(replace(event, hash=previous))
    return found


async def test_what_was_appended_fits(log: Sequence[StoredEvent]) -> None:
    assert check(log) == log[-1].hash
    assert check(log, [seal(1, log[:8]), seal(2, log[8:])]) == log[-1].hash


@pytest.mark.parametrize("place", [0, 7, 19])
async def test_an_altered_event_is_named(log: Sequence[StoredEvent], place: int) -> None:
    altered = [*log[:place], replace(log[place], actor="x"), *log[place + 1 :]]

    with pytest.raises(ArchiveRefused, match=f"position {place + 1} does not fit the chain"):
        check(altered)


async def test_missing_swapped_and_surplus_events_are_named(log: Sequence[StoredEvent]) -> None:
    for events, position in (
        ([*log[:4], *log[5:]], 5),
        ([*log[:4], log[5], log[4], *log[6:]], 5),
        (log[1:], 1),
        (log[:-1], 20),
        ([*log, replace(log[-1], position=Position(0, 21))], 21),
        ([*log[:9], replace(log[9], position=Position(1, 10)), *log[10:]], 10),
    ):
        with pytest.raises(ArchiveRefused, match=f"position {position} does not fit"):
            check(events)


async def test_an_event_dated_before_its_predecessor_is_named(log: Sequence[StoredEvent]) -> None:
    early = replace(log[11], recorded_at=log[11].recorded_at - timedelta(seconds=1))

    with pytest.raises(ArchiveRefused, match="position 12 does not fit"):
        check(rechained([*log[:11], early, *log[12:]]))


async def test_a_history_made_anew_does_not_fit_its_seals(log: Sequence[StoredEvent]) -> None:
    forged = rechained([*log[:11], replace(log[11], actor="x"), *log[12:]])
    assert check(forged) == forged[-1].hash

    with pytest.raises(ArchiveRefused, match="log seal 2 does not fit the events up to position 20"):
        check(forged, [seal(1, log[:8]), seal(2, log[8:])])


async def test_a_seal_that_never_ends_is_refused(log: Sequence[StoredEvent]) -> None:
    beyond = replace(seal(2, log[8:]), to_position=25)

    with pytest.raises(ArchiveRefused):
        check(log, [seal(1, log[:8]), beyond])
