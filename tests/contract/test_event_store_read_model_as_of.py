"""A read model as of a position is what a fold of the events up to there gives, whenever it is asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.rebuild.as_of import positions_at, read_model_as_of
from eventstore.rebuild.errors import PositionUnknown
from eventstore.types import Position
from tests.cloned_database import cloned_database
from tests.doubles.visits import Visits, open_shop
from tests.fix_events import read_everything

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from stack.postgres import EmbeddedPostgres
    from tests.doubles.visits import Shop

pytest_plugins = ["tests.fix_postgres", "tests.fix_read_models"]


async def visits(shop: Shop, positions: Mapping[int, int]) -> dict[UUID, int]:
    """Return how often each stream was visited, as of these positions."""
    async with read_model_as_of(shop.model(), positions) as connection:
        return dict(await (await connection.execute("select stream_id, number from visit")).fetchall())


@given(streams=st.lists(st.integers(0, 6), max_size=12), asked=st.lists(st.integers(0, 27), min_size=1))
@settings(max_examples=10)
def test_as_of_n_is_a_fold_of_the_first_n_events(
    postgres_cluster: EmbeddedPostgres, streams: list[int], asked: list[int]
) -> None:
    async def look() -> None:
        async with cloned_database(postgres_cluster) as url, open_shop(url) as shop:
            for stream in streams:
                shop.streams = [*shop.streams[stream:], *shop.streams[:stream]]
                await shop.append(1)
            events = [each for each in await read_everything(shop.store) if each.category == "job"]
            for number in asked[:3]:
                expected = Counter(each.stream_id for each in events if each.position.number <= number)
                assert await visits(shop, {0: number}) == expected

    asyncio.run(look())


async def test_an_instant_means_every_lane_as_it_was_then(shop: Shop) -> None:
    await shop.append(10)
    head = await shop.store.head()
    instant = (await read_everything(shop.store, -1))[-1].recorded_at
    await shop.append(10)

    positions = await positions_at(shop.model(), instant)

    assert positions == {0: head.number, -1: 7}
    async with read_model_as_of(shop.model(), positions) as connection:
        cursor = await connection.execute("select sum(beats), count(*) from beat")
        assert await cursor.fetchone() == (7, 7)
    assert sum((await visits(shop, positions)).values()) == 10
    assert await positions_at(shop.model(), datetime(2020, 1, 1, tzinfo=UTC)) == {0: 0, -1: 0}


async def test_a_position_of_one_lane_means_the_others_as_they_were_when_it_was_recorded(shop: Shop) -> None:
    await shop.append(10)
    await shop.append(10)

    assert await positions_at(shop.model(), Position(0, 11)) == {0: 11, -1: 0}
    assert await positions_at(shop.model(), Position(0, 12)) == {0: 12, -1: 7}
    with pytest.raises(PositionUnknown, match="no position 99"):
        await positions_at(shop.model(), Position(0, 99))


async def test_whoever_reads_the_past_can_write_nothing(shop: Shop) -> None:
    await shop.append(5)
    async with read_model_as_of(shop.model(), {0: 5}) as connection:
        for statement, refusal in (
            (b"delete from visit", psycopg.errors.ReadOnlySqlTransaction),
            (b"select count(*) from shop.visit", psycopg.errors.InsufficientPrivilege),
        ):
            with pytest.raises(refusal):
                await connection.execute(statement)
    assert await shop.schemas() == []


async def test_a_scratch_is_dropped_also_when_its_reader_failed(shop: Shop) -> None:
    await shop.append(5)
    with pytest.raises(ZeroDivisionError):
        async with read_model_as_of(shop.model(), {0: 5}):
            raise ZeroDivisionError
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with read_model_as_of(shop.model(Visits(also="select * from nothing")), {0: 5}):
            pass
    assert await shop.schemas() == []


async def test_two_can_look_at_different_pasts_while_the_live_one_goes_on(shop: Shop) -> None:
    await shop.append(20)
    async with shop.projecting():
        found = await asyncio.gather(*(visits(shop, {0: number}) for number in (3, 17)))
    assert [sum(each.values()) for each in found] == [3, 17]
