"""A ledger of several lanes: who follows the ledger follows all of it."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from eventstore.following.projector import Projector
from eventstore.lanes import followed
from eventstore.memory import MemoryEventStore
from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.read_model import ReadModel
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter
from tests.fix_events import append_to, event, wall_time
from tests.several_lanes import LANES, tenant_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres", "tests.fix_lanes"]


@dataclass
class Seen:
    """Notes the positions that it is given."""

    name: str = "seen"
    version: int = 1
    lanes: tuple[int, ...] = (LEDGER_LANE, PULSE_LANE)
    only: Filter = field(default_factory=Filter)

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write a row for each event."""
        places = [(each.position.lane, each.position.number) for each in page]
        async with connection.cursor() as cursor:
            await cursor.executemany("insert into seen values (%s, %s)", places)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Delete the rows."""
        await connection.execute("delete from seen")


@pytest.mark.parametrize(
    ("lanes", "wanted"),
    [((0,), [0, 1, 2]), ((0, -1), [0, 1, 2, -1]), ((-1,), [-1]), ((-1, 0), [-1, 0, 1, 2])],
)
def test_the_ledger_stands_for_all_of_its_lanes(lanes: Sequence[int], wanted: list[int]) -> None:
    assert followed(lanes, LANES) == wanted


def test_a_ledger_of_one_lane_is_that_lane() -> None:
    assert followed((LEDGER_LANE, PULSE_LANE), 1) == [LEDGER_LANE, PULSE_LANE]


async def test_both_stores_know_their_lanes(url_with_lanes: str) -> None:
    assert MemoryEventStore(wall_time, lanes=LANES).lanes == LANES
    async with PostgresEventStore.open(url_with_lanes) as store:
        assert store.lanes == LANES


async def migrate_by_command(url: str, *options: str) -> tuple[int, str]:
    """Run the store's command; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventstore", "migrate", *options),
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_command_makes_a_ledger_of_several_lanes_once_and_for_ever(
    postgres_cluster: EmbeddedPostgres,
) -> None:
    name = f"lanes_{uuid4().hex[:12]}"
    url = await postgres_cluster.create_database(name)

    assert (await migrate_by_command(url, "--lanes", "3"))[0] == 0
    assert (await migrate_by_command(url, "--lanes", "3"))[0] == 0
    assert (await migrate_by_command(url))[0] == 0
    code, said = await migrate_by_command(url, "--lanes", "2")

    assert (code, "made with 3 lanes" in said) == (2, True), said
    async with PostgresEventStore.open(url) as store:
        assert store.lanes == LANES
    await postgres_cluster.drop_database(name)


async def test_a_projector_follows_every_lane_and_knows_how_far_it_is_in_each(url_with_lanes: str) -> None:
    async with await psycopg.AsyncConnection.connect(url_with_lanes, autocommit=True) as connection:
        await connection.execute("create table seen (lane int, number bigint, primary key (lane, number))")
        async with PostgresEventStore.open(url_with_lanes) as store:
            projector = Projector(store, url_with_lanes, Seen(), poll_seconds=0.2)
            async with asyncio.timeout(20), projector.running():
                ends = [
                    (await store.append(append_to(count=3 + lane, tenant=tenant_in(lane)))).position
                    for lane in range(LANES)
                ]
                await store.append_pulse(tenant_in(1), "worker", tenant_in(1), event())
                for end in [*ends, await store.head(PULSE_LANE)]:
                    await projector.wait_until(end)
                progress = await projector.progress()
                heads = await ReadModel(store, url_with_lanes, Seen()).heads()  # type: ignore[arg-type]

        rows = await (
            await connection.execute("select lane, count(*) from seen group by 1 order by 1")
        ).fetchall()
    assert rows == [(-1, 1), (0, 3), (1, 4), (2, 5)]
    assert {each.position.lane: each.position.number for each in progress} == dict(rows) == heads
    assert all(each.lag == 0 for each in progress)
