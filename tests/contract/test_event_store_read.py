"""What every event store promises about reading and following, proven of both adapters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from eventstore.types import PULSE_LANE, Filter, Position, StreamAppend
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from eventstore.store import EventStore

pytest_plugins = ["tests.fix_postgres"]

START = Position(0, 0)


async def test_an_empty_store_has_nothing_to_read(store: EventStore) -> None:
    assert await store.head() == START
    assert await store.head(PULSE_LANE) == Position(PULSE_LANE, 0)
    assert list(await store.read_stream(uuid4())) == []
    page = await store.read_all(START)
    assert (list(page.events), page.scanned) == ([], START)


async def test_a_stream_is_read_from_a_version_and_up_to_a_limit(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id, 10))

    read = await store.read_stream(stream_id, from_version=4, limit=3)

    assert [each.version for each in read] == [4, 5, 6]


async def test_another_tenants_stream_reads_as_empty(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id, 2))

    assert len(await store.read_stream(stream_id, tenant=TENANT)) == 2
    assert list(await store.read_stream(stream_id, tenant=OTHER_TENANT)) == []


async def test_pages_join_without_gap_or_overlap(store: EventStore) -> None:
    for _ in range(7):
        await store.append(append_to(count=3))

    events = await read_everything(store, page=4)

    assert [each.position.number for each in events] == list(range(1, 22))


async def test_a_filter_passes_what_it_names_and_still_moves_on(store: EventStore) -> None:
    for tenant, category, event_type in (
        (TENANT, "job", "a"),
        (OTHER_TENANT, "job", "b"),
        (TENANT, "profile", "a"),
        (OTHER_TENANT, "profile", "c"),
    ):
        await store.append(StreamAppend(uuid4(), category, tenant, [event(event_type=event_type)]))

    for only, expected in (
        (Filter(categories=frozenset({"job"})), [1, 2]),
        (Filter(event_types=frozenset({"a", "c"})), [1, 3, 4]),
        (Filter(tenant=OTHER_TENANT), [2, 4]),
        (Filter(frozenset({"job"}), frozenset({"a"}), TENANT), [1]),
        (Filter(event_types=frozenset({"never seen"})), []),
        (Filter(categories=frozenset({"never seen", "profile"})), [3, 4]),
    ):
        page = await store.read_all(START, only=only)
        assert [each.position.number for each in page.events] == expected
        assert page.scanned == Position(0, 4)


async def test_a_full_filtered_page_goes_no_further_than_its_last_event(store: EventStore) -> None:
    for number in range(9):
        await store.append(append_to(category="job" if number % 3 == 0 else "other"))

    page = await store.read_all(START, limit=2, only=Filter(categories=frozenset({"job"})))

    assert [each.position.number for each in page.events] == [1, 4]
    assert page.scanned == Position(0, 4)


async def test_reading_beyond_the_head_stays_where_it_is(store: EventStore) -> None:
    await store.append(append_to())
    beyond = Position(0, 99)

    for only in (Filter(), Filter(categories=frozenset({"job"}))):
        page = await store.read_all(beyond, only=only)
        assert (list(page.events), page.scanned) == ([], beyond)


async def test_pulses_have_a_lane_of_their_own(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id))
    sent = [replace(event(bytes([number])), actor="worker") for number in range(5)]

    await asyncio.gather(*(store.append_pulse(stream_id, "submission", TENANT, each) for each in sent))

    pulses = await read_everything(store, PULSE_LANE, page=2)
    assert [each.position for each in pulses] == [Position(PULSE_LANE, number) for number in range(1, 6)]
    assert {each.event_id for each in pulses} == {each.event_id for each in sent}
    assert {(each.version, each.hash, each.category, each.tenant, each.actor) for each in pulses} == {
        (0, b"", "submission", TENANT, "worker")
    }
    assert await store.head() == Position(0, 1)
    assert len(await store.read_stream(stream_id)) == 1


async def test_pulses_are_filtered_like_events(store: EventStore) -> None:
    for category in ("worker", "submission"):
        await store.append_pulse(uuid4(), category, TENANT, event())

    page = await store.read_all(Position(PULSE_LANE, 0), only=Filter(categories=frozenset({"submission"})))

    assert [each.category for each in page.events] == ["submission"]
    assert page.scanned == Position(PULSE_LANE, 2)


@pytest.mark.parametrize("lane", [0, PULSE_LANE])
async def test_news_wakes_whoever_waits(store: EventStore, lane: int) -> None:
    async def follow() -> Position:
        after = Position(lane, 0)
        while (page := await store.read_all(after)).scanned == after:
            await store.wait_for_news(after, 30)
        return page.scanned

    async with asyncio.timeout(5):
        followers = [asyncio.create_task(follow()) for _ in range(3)]
        await asyncio.sleep(0)
        await (store.append(append_to()) if lane == 0 else store.append_pulse(uuid4(), "x", TENANT, event()))
        assert await asyncio.gather(*followers) == [Position(lane, 1)] * 3


async def test_waiting_ends_with_the_timeout(store: EventStore) -> None:
    async with asyncio.timeout(5):
        await store.wait_for_news(START, 0.3)
        await store.wait_for_news(START, 0.01)


async def test_a_tailing_reader_sees_all_that_many_writers_append(store: EventStore) -> None:
    total = 8 * 60
    seen: list[int] = []

    async def tail() -> None:
        after = START
        while len(seen) < total:
            page = await store.read_all(after, limit=100)
            seen.extend(each.position.number for each in page.events)
            if page.scanned == after:
                await store.wait_for_news(after, 1)
            after = page.scanned

    async def write() -> None:
        for _ in range(60):
            await store.append(append_to())

    async with asyncio.timeout(30):
        await asyncio.gather(tail(), *(write() for _ in range(8)))

    assert seen == list(range(1, total + 1))
