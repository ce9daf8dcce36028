"""What every event store promises about the past: streams as they were, and where an instant lies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.errors import EventsArchived
from eventstore.memory import MemoryEventStore
from eventstore.postgres import PostgresEventStore
from eventstore.types import PULSE_LANE, Position
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from eventstore.store import EventStore

pytest_plugins = ["tests.fix_postgres"]

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
SOON = timedelta(microseconds=1)


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give an empty store on Postgres."""
    async with PostgresEventStore.open(database_url) as store:
        yield store


async def test_a_stream_is_read_as_of_a_position(store: EventStore) -> None:
    stream_id = uuid4()
    for _ in range(4):
        await store.append(append_to(stream_id))
        await store.append(append_to())

    for number, versions in ((0, []), (1, [1]), (4, [1, 2]), (5, [1, 2, 3]), (99, [1, 2, 3, 4])):
        read = await store.read_stream(stream_id, as_of=Position(0, number))
        assert [each.version for each in read] == versions


async def test_a_stream_is_read_as_of_an_instant(store: EventStore) -> None:
    stream_id = uuid4()
    instants = [(await store.append(append_to(stream_id))).recorded_at for _ in range(3)]

    assert list(await store.read_stream(stream_id, as_of=BEGINNING)) == []
    for instant in instants:
        read = await store.read_stream(stream_id, as_of=instant)
        assert len(read) == sum(each <= instant for each in instants)
    assert len(await store.read_stream(stream_id, as_of=instants[0] - SOON)) == 0


async def test_a_position_shows_nothing_of_another_lane(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id))

    assert list(await store.read_stream(stream_id, as_of=Position(PULSE_LANE, 5))) == []


async def test_the_past_keeps_versions_limits_and_tenants(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id, 9))
    then = Position(0, 7)

    read = await store.read_stream(stream_id, from_version=3, limit=3, tenant=TENANT, as_of=then)
    assert [each.version for each in read] == [3, 4, 5]
    assert [e.version for e in await store.read_stream(stream_id, from_version=6, as_of=then)] == [6, 7]
    assert list(await store.read_stream(stream_id, tenant=OTHER_TENANT, as_of=then)) == []


async def test_an_empty_lane_has_position_0_at_every_instant(store: EventStore) -> None:
    for lane in (0, PULSE_LANE):
        assert await store.position_at(BEGINNING, lane) == Position(lane, 0)


async def test_an_instant_lies_behind_the_last_event_recorded_by_then(store: EventStore) -> None:
    for _ in range(12):
        await store.append(append_to(count=3))
        await store.append_pulse(uuid4(), "worker", TENANT, event())

    for lane in (0, PULSE_LANE):
        events = await read_everything(store, lane)
        for each in events:
            last = max(other.position.number for other in events if other.recorded_at == each.recorded_at)
            assert await store.position_at(each.recorded_at, lane) == Position(lane, last)
        assert (await store.position_at(BEGINNING, lane)).number == 0
        assert await store.position_at(events[-1].recorded_at + SOON, lane) == events[-1].position


@given(steps=st.lists(st.integers(0, 2), max_size=30), asked=st.integers(-1, 70))
@settings(max_examples=50)
async def test_position_and_instant_agree_however_often_the_clock_stands_still(
    steps: list[int], asked: int
) -> None:
    now = BEGINNING
    store = MemoryEventStore(lambda: now)
    stream_id = uuid4()
    for step in steps:
        now += timedelta(seconds=step)
        await store.append(append_to(stream_id))
    instant = BEGINNING + timedelta(seconds=asked)

    position = await store.position_at(instant)

    by_instant = await store.read_stream(stream_id, as_of=instant)
    assert list(by_instant) == list(await store.read_stream(stream_id, as_of=position))
    assert len(by_instant) == position.number


async def test_an_instant_is_found_in_any_partition(ledger: PostgresEventStore, database_url: str) -> None:
    for _ in range(5):
        await ledger.append(append_to(count=900))
    events = await read_everything(ledger)

    for each in (events[0], events[899], events[900], events[2_500], events[-1]):
        expected = (each.position.number + 899) // 900 * 900
        assert await ledger.position_at(each.recorded_at) == Position(0, expected)

    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("alter table es.event detach partition es.event_from_1")
    assert await ledger.position_at(BEGINNING) == Position(0, 1_000)
    assert await ledger.position_at(events[-1].recorded_at) == Position(0, 4_500)


@pytest.mark.parametrize("count", [3_000])
async def test_finding_an_instant_looks_at_few_rows(
    ledger: PostgresEventStore, database_url: str, count: int
) -> None:
    for _ in range(count // 1_000):
        await ledger.append(append_to(count=1_000))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("vacuum analyze es.event")
        await connection.execute("select es.position_at_v1(0::smallint, clock_timestamp())")
        cursor = await connection.execute(
            "explain (analyze, buffers, format json) select es.position_at_v1(0::smallint, clock_timestamp())"
        )
        row = await cursor.fetchone()

    assert row is not None
    plan = row[0][0]["Plan"]
    # Twelve halvings and two ends, a few pages each; the table has hundreds.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 150


async def test_an_instant_is_found_in_the_archive_and_nothing_before_what_was_deleted(
    database_url: str, tmp_path: Path
) -> None:
    storage = FolderStorage(tmp_path)
    async with PostgresEventStore.open(database_url, cold=storage) as store:
        for _ in range(35):
            await store.append(append_to(count=100))
        events = await read_everything(store)
        asked = [events[number].recorded_at for number in (0, 99, 100, 1_234, 2_345, 3_499)]
        before = [await store.position_at(each) for each in asked]
        assert [each.number for each in before] == [100, 100, 200, 1_300, 2_400, 3_500]

        archiver = Archiver(store, database_url, storage)
        for each in await archiver.due(timedelta()):
            await archiver.archive(each)

        assert await store.position_at(BEGINNING) == Position(0, 0)
        assert [await store.position_at(each) for each in asked] == before
        [stream] = {each.stream_id for each in events if each.position.number == 1_234}
        assert len(await store.read_stream(stream, as_of=events[1_233].recorded_at)) == 100
    async with PostgresEventStore.open(database_url) as blind:
        assert await blind.position_at(asked[-1]) == before[-1]
        with pytest.raises(EventsArchived):
            await blind.position_at(asked[0])
