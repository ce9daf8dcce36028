"""How lanes are followed: in turns, from where one was, and with an alarm where a number is missing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from eventstore.following.subscription import HoleInLog, Subscription
from eventstore.memory import MemoryEventStore
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter, Page, Position, StreamAppend
from tests.fix_events import TENANT, append_to, event, wall_time

if TYPE_CHECKING:
    from collections.abc import Sequence


class Damaged(MemoryEventStore):
    """A store in memory that has lost some positions."""

    def __init__(self, missing: set[Position]) -> None:
        super().__init__(wall_time)
        self._missing = missing

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Leave out what is missing."""
        page = await super().read_all(after, limit=limit, only=only)
        return Page([each for each in page.events if each.position not in self._missing], page.scanned)


async def filled(store: MemoryEventStore) -> MemoryEventStore:
    """Append ten events and ten pulses."""
    await store.append(append_to(count=10))
    for _ in range(10):
        await store.append_pulse(uuid4(), "worker", TENANT, event())
    return store


async def followed(subscription: Subscription) -> Sequence[Position]:
    """Follow to the end of every lane."""
    seen: list[Position] = []
    while (page := await subscription.next_page()) is not None:
        seen += [each.position for each in page.events]
        subscription.move(page)
    return seen


async def test_lanes_are_read_in_turns() -> None:
    store = await filled(MemoryEventStore(wall_time))

    seen = await followed(Subscription(store, (LEDGER_LANE, PULSE_LANE), page_max=5))

    assert [each.lane for each in seen] == [0] * 5 + [-1] * 5 + [0] * 5 + [-1] * 5
    assert {each.number for each in seen if each.lane == LEDGER_LANE} == set(range(1, 11))


async def test_a_page_that_was_not_kept_comes_again() -> None:
    store = await filled(MemoryEventStore(wall_time))
    subscription = Subscription(store, (LEDGER_LANE,), {LEDGER_LANE: 7})

    assert await subscription.next_page() == await subscription.next_page()
    assert [each.number for each in await followed(subscription)] == [8, 9, 10]


@pytest.mark.parametrize("missing", [1, 5, 6])
async def test_a_missing_event_raises_an_alarm(missing: int) -> None:
    store = await filled(Damaged({Position(LEDGER_LANE, missing)}))

    with pytest.raises(HoleInLog) as alarm:
        await followed(Subscription(store, (LEDGER_LANE,), page_max=5))

    assert alarm.value.after == Position(LEDGER_LANE, missing - 1)


async def test_old_pulses_may_be_gone_but_none_between() -> None:
    dropped = await filled(Damaged({Position(PULSE_LANE, number) for number in (1, 2, 3)}))
    damaged = await filled(Damaged({Position(PULSE_LANE, 3)}))

    assert [each.number for each in await followed(Subscription(dropped, (PULSE_LANE,)))] == list(
        range(4, 11)
    )
    with pytest.raises(HoleInLog):
        await followed(Subscription(damaged, (PULSE_LANE,)))


async def test_a_filter_leaves_out_without_alarm() -> None:
    store = await filled(MemoryEventStore(wall_time))

    seen = await followed(Subscription(store, (LEDGER_LANE,), only=Filter(frozenset({"nothing"}))))

    assert seen == []


class Watched(MemoryEventStore):
    """A store in memory that remembers what it was asked, and may keep an answer back."""

    def __init__(self) -> None:
        super().__init__(wall_time)
        self.asked: list[tuple[int, int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Remember where was read from, and how much."""
        self.asked.append((after.number, limit))
        await self.go_on.wait()
        return await super().read_all(after, limit=limit, only=only)


async def test_pages_grow_while_they_are_full_and_shrink_when_asked() -> None:
    store = Watched()
    for _ in range(8):
        await store.append(append_to(count=1_000))
    subscription = Subscription(store, (LEDGER_LANE,), page_max=2_000)

    await followed(subscription)
    subscription.shrink()
    subscription.positions[LEDGER_LANE] = 0
    await followed(subscription)

    assert [limit for _, limit in store.asked] == [500, 1_000, *[2_000] * 5, 1_000, *[2_000] * 5]


async def test_large_events_make_small_pages() -> None:
    store = Watched()
    for _ in range(24):
        await store.append(StreamAppend(uuid4(), "job", TENANT, [event(bytes(1_000_000))]))
    subscription = Subscription(store, (LEDGER_LANE,), page_max=12)

    await followed(subscription)

    assert [limit for _, limit in store.asked][:2] == [12, 6]


async def test_the_next_page_is_read_meanwhile_and_no_further() -> None:
    store = Watched()
    await store.append(append_to(count=12))
    subscription = Subscription(store, (LEDGER_LANE,), page_max=3, read_ahead=True)

    first = await subscription.next_page()
    assert first is not None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.asked == [(0, 3), (3, 3)]
    subscription.move(first)
    store.go_on.clear()
    second = await subscription.next_page()
    assert second is not None
    assert [each.position.number for each in second.events] == [4, 5, 6]
    await asyncio.sleep(0)
    assert store.asked == [(0, 3), (3, 3), (6, 3)]
    await subscription.close()


@pytest.mark.parametrize("page_max", [1, 3, 4, 100])
async def test_a_subscription_ends_where_it_should(page_max: int) -> None:
    store = await filled(MemoryEventStore(wall_time))
    subscription = Subscription(
        store,
        (LEDGER_LANE, PULSE_LANE),
        {LEDGER_LANE: 2},
        until={LEDGER_LANE: 6, PULSE_LANE: 4},
        page_max=page_max,
    )

    seen = await followed(subscription)

    assert subscription.has_ended
    assert sorted(each.number for each in seen if each.lane == LEDGER_LANE) == [3, 4, 5, 6]
    assert sorted(each.number for each in seen if each.lane == PULSE_LANE) == [1, 2, 3, 4]
    assert subscription.positions == {LEDGER_LANE: 6, PULSE_LANE: 4}


async def test_what_comes_before_a_hole_is_read_first() -> None:
    store = await filled(Damaged({Position(LEDGER_LANE, 8)}))
    subscription = Subscription(store, (LEDGER_LANE,))

    page = await subscription.next_page()
    assert page is not None
    assert (len(page.events), page.scanned) == (7, Position(LEDGER_LANE, 7))
    subscription.move(page)
    with pytest.raises(HoleInLog, match="position 7 is followed by 9"):
        await subscription.next_page()
