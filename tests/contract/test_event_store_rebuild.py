"""Read models are built again beside the live ones, compared, swapped and swapped back, while all goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from eventstore.care import projections
from eventstore.care.examination import examine
from eventstore.rebuild.as_of import positions_at
from eventstore.rebuild.difference import compare
from eventstore.rebuild.errors import CannotRebuild, NothingRebuilt, RebuildUnderWay, RoleLeft, SwapTimedOut
from eventstore.rebuild.read_model import at_work
from eventstore.rebuild.rebuild import abandon, rebuild
from eventstore.rebuild.rebuildable import conninfo_of_rows
from eventstore.rebuild.swap import drop_retired, swap, swap_back
from eventstore.types import Position
from tests.doubles.visits import LongVisits, QuickVisits, Shop, Visits, covered, open_shop
from tests.fix_events import append_to
from tests.several_lanes import LANES, tenant_in

if TYPE_CHECKING:
    from eventstore.rebuild.progress import RebuildProgress

pytest_plugins = ["tests.fix_postgres", "tests.fix_lanes", "tests.fix_read_models"]


async def test_what_is_rebuilt_is_what_is_live(shop: Shop) -> None:
    await shop.append(60)
    await shop.caught_up()

    positions = await rebuild(shop.model())
    difference = await compare(shop.model())

    assert positions == difference.positions == {0: 61, -1: 7}
    assert difference.same
    assert [(each.table, each.live_count, each.rebuilt_count) for each in difference.tables] == [
        ("visit", 7, 7),
        ("beat", 7, 7),
    ]
    assert await shop.rows() == await shop.rows("rebuild_visits")


async def test_the_live_one_goes_on_while_it_is_rebuilt_compared_and_swapped(shop: Shop) -> None:
    await shop.append(200)
    ended = asyncio.Event()

    async def keep_appending() -> None:
        while not ended.is_set():
            await shop.append(10)

    async with shop.projecting(), asyncio.TaskGroup() as beside:
        beside.create_task(keep_appending())
        await rebuild(shop.model(), page_max=50)
        assert (await compare(shop.model())).same
        await swap(shop.model())
        ended.set()
    await shop.caught_up()

    swapped = await shop.rows()
    assert sum(row["number"] for row in swapped) == (await shop.store.head()).number - await others(shop)
    await rebuild(shop.model())
    assert await shop.rows("rebuild_visits") == swapped


async def others(shop: Shop) -> int:
    """Return how many events are of no concern to the read model."""
    [(count,)] = await shop.select(
        "select count(*) from es.event e join es.category c on c.id = e.category where c.name = 'another'"
    )
    return count


async def test_a_swapped_table_looks_like_the_one_before(shop: Shop) -> None:
    await shop.append()
    await shop.caught_up()
    before = await shop.looks()

    await rebuild(shop.model())
    await swap(shop.model())

    assert await shop.looks() == before
    assert len(before) > 20
    assert await shop.schemas() == ["retired_visits"]


async def test_readers_see_no_error_and_no_empty_table_while_it_is_swapped(shop: Shop) -> None:
    await shop.append(40)
    ended, all_seen = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def read(prepared: bool) -> None:  # noqa: FBT001 - two kinds of readers
        async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as connection:
            await connection.execute("set role shop_service")
            while not ended.is_set():
                cursor = await connection.execute(
                    "select sum(number), count(*) from shop.visit", prepare=prepared
                )
                row = await cursor.fetchone()
                assert row is not None
                assert row[1] == 7
                seen.append(row[0])
                if row[0] == 40 + 3 * 5:
                    all_seen.set()

    async with shop.projecting() as projector:
        await covered(shop, projector)
        readers = [asyncio.create_task(read(each)) for each in (True, False, True)]
        for _ in range(3):
            await rebuild(shop.model())
            await swap(shop.model())
            await shop.append(5)
            await covered(shop, projector)
            await swap_back(shop.model())
            await covered(shop, projector)
            await drop_retired(shop.model())
        await asyncio.wait_for(all_seen.wait(), 30)
        ended.set()
        await asyncio.gather(*readers)

    assert len(seen) > 20
    assert max(seen) == 40 + 3 * 5


async def test_a_swap_shows_nobody_an_older_state(shop: Shop) -> None:
    await shop.append(40)
    async with shop.projecting() as projector:
        await rebuild(shop.model())
        await shop.append(40)
        await covered(shop, projector)
        before = sum(row["number"] for row in await shop.rows())
        projector.stop()
        await swap(shop.model())
        assert sum(row["number"] for row in await shop.rows()) == before == 80


async def test_the_way_back_is_instant_and_catches_up_from_its_own_checkpoint(shop: Shop) -> None:
    await shop.append(30)
    await shop.caught_up()
    await rebuild(shop.model())
    await swap(shop.model())
    await shop.append(20)
    await shop.caught_up()
    assert sum(row["number"] for row in await shop.rows()) == 50

    await swap_back(shop.model())
    assert sum(row["number"] for row in await shop.rows()) == 30
    await shop.caught_up()
    assert sum(row["number"] for row in await shop.rows()) == 50

    await swap_back(shop.model())
    await shop.caught_up()
    assert sum(row["number"] for row in await shop.rows()) == 50
    await drop_retired(shop.model())
    assert await shop.schemas() == []
    with pytest.raises(NothingRebuilt, match="no retired tables"):
        await swap_back(shop.model())


async def test_a_new_version_is_built_beside_the_old_and_takes_over(shop: Shop) -> None:
    await shop.append(30)
    async with shop.projecting() as old:
        await covered(shop, old)
        await rebuild(shop.model(LongVisits()))
        difference = await compare(shop.model(LongVisits()))
        assert difference.same
        assert [each.columns_only_rebuilt for each in difference.tables] == [["letters"], []]

        async with shop.projecting(LongVisits()) as new:
            # Not yet: the tables are the old version's.
            await shop.append(10)
            await covered(shop, old)
            assert "letters" not in (await shop.rows())[0]

            await swap(shop.model(LongVisits()))
            await shop.append(10)
            await covered(shop, new)

        rows = await shop.rows()
        assert sum(row["number"] for row in rows) == 50
        assert {row["letters"] for row in rows} == {len("test.v1.Happened")}
        # The old version stands by, and writes nothing into tables that are not its own.
        await shop.append(10)
        assert sum(row["number"] for row in await shop.rows()) == 50

        await swap_back(shop.model(LongVisits()))
        await covered(shop, old)
    assert sum(row["number"] for row in await shop.rows()) == 60
    assert "letters" not in (await shop.rows())[0]
    assert any("visit_by_letters" in str(each) for each in await shop.looks("retired_visits"))


def test_a_connection_finds_the_live_tables_whatever_else_it_is_told() -> None:
    told = conninfo_to_dict(conninfo_of_rows("dbname=x options='-c jit=off'", Visits()))

    assert (told["dbname"], told["options"]) == ("x", '-c jit=off -csearch_path="shop",pg_temp')


async def test_an_old_version_stays_away_also_when_its_tables_are_gone(shop: Shop) -> None:
    await shop.append(30)
    async with shop.projecting() as old:
        await covered(shop, old)
        for _ in range(2):
            # The second time the live tables have the new column already.
            await rebuild(shop.model(LongVisits()))
            assert (await compare(shop.model(LongVisits()))).same
            await swap(shop.model(LongVisits()))
            await drop_retired(shop.model(LongVisits()))
        await shop.append(10)
        async with shop.projecting() as another:
            await shop.caught_up(LongVisits())
            assert not {old.holder, another.holder} & {
                holder for (holder,) in await shop.select("select holder from es.projection")
            }

    assert sum(row["number"] for row in await shop.rows()) == 40
    assert await shop.select(
        "select version, holder from es.projection where name = 'visits' and version = 1"
    ) == [(1, "#retired")]


async def test_an_older_version_is_not_built_over_a_newer_one(shop: Shop) -> None:
    await shop.append()
    await rebuild(shop.model(LongVisits()))
    await swap(shop.model(LongVisits()))

    with pytest.raises(CannotRebuild, match="version 2 of visits is live, this is the code of 1"):
        await rebuild(shop.model())


async def test_a_rebuild_that_broke_off_goes_on_where_it_was(shop: Shop) -> None:
    await shop.append(95)
    seen: list[RebuildProgress] = []

    def break_off(progress: RebuildProgress) -> None:
        seen.append(progress)
        if progress.positions.get(0, 0) >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(shop.model(), break_off, page_max=10)
    reached = seen[-1].positions[0]
    seen.clear()
    await rebuild(shop.model(), seen.append, page_max=10)

    assert seen[0].begun_at[0] == reached
    assert seen[-1].done == seen[-1].total == 96 + 7
    assert seen[-1].seconds_left == 0
    assert seen[-1].per_second > 0
    await shop.caught_up()
    assert (await compare(shop.model())).same


@pytest.mark.parametrize(
    "effect",
    [
        "insert into shop.other values (1)",
        "delete from shop.visit",
        "update es.projection set positions = '{}'",
        "select es.intern_v1(array['x'], array['y'])",
        "insert into es.category values (99, 'x')",
        "create table shop.mine (id int)",
        "create schema mine",
        "truncate es.event",
        "drop table visit",
        "alter table visit add column mine integer",
    ],
)
async def test_a_replay_can_change_nothing_but_what_is_being_built(shop: Shop, effect: str) -> None:
    await shop.append(5)
    await shop.caught_up()
    before = await shop.rows()

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await rebuild(shop.model(Visits(also=effect)))  # pyright: ignore[reportArgumentType]

    assert await shop.rows() == before
    assert await shop.rows("rebuild_visits") == []


async def test_a_projection_that_leaves_its_role_saves_nothing(shop: Shop) -> None:
    await shop.append(5)

    with pytest.raises(RoleLeft):
        await rebuild(shop.model(Visits(also="set local role none")))

    assert await shop.rows("rebuild_visits") == []


async def test_rows_that_differ_are_named_with_both_values(shop: Shop) -> None:
    await shop.append(40)
    await shop.caught_up()
    await rebuild(shop.model())
    first, second, third, *_ = sorted(map(str, shop.streams))
    async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as connection:
        await connection.execute("update shop.visit set number = 99 where stream_id = %s", [first])
        await connection.execute("delete from shop.visit where stream_id = %s", [second])
        await connection.execute("delete from rebuild_visits.beat where stream_id = %s", [third])

    difference = await compare(shop.model())
    visit, beat = difference.tables

    assert not difference.same
    assert (visit.live_count, visit.rebuilt_count, beat.live_count, beat.rebuilt_count) == (6, 7, 7, 6)
    changed = {str(each.key["stream_id"]): each for each in visit.rows}
    assert changed.keys() == {first, second}
    assert changed[first].columns["number"] == (99, 40 // 7 + 1 if first in early(shop) else 40 // 7)
    assert changed[first].only_in == ""
    assert changed[second].only_in == "rebuilt"
    assert changed[second].columns["number"][0] is None
    assert [(each.key["stream_id"], each.only_in) for each in beat.rows] == [(third, "live")]
    assert len((await compare(shop.model(), rows_max=1)).tables[0].rows) == 1


def early(shop: Shop) -> set[str]:
    """Return the streams that got one event more than the others."""
    return {str(each) for each in shop.streams[: 40 % 7]}


async def test_what_was_altered_since_is_not_swapped(shop: Shop) -> None:
    await shop.append()
    await rebuild(shop.model())
    await shop.execute("alter table shop.visit add column more integer")

    with pytest.raises(CannotRebuild, match=r"shop\.visit was altered"):
        await swap(shop.model())

    await abandon(shop.model())
    await rebuild(shop.model())
    await swap(shop.model())


async def test_a_long_reader_delays_the_swap_and_nobody_else(shop: Shop) -> None:
    await shop.append()
    await shop.caught_up()
    await rebuild(shop.model())
    loop = asyncio.get_running_loop()
    async with await psycopg.AsyncConnection.connect(shop.url) as holder:
        await holder.execute("select count(*) from shop.visit")
        swapping = asyncio.create_task(swap(shop.model(), patience_seconds=1.0))
        slowest = 0.0
        while not swapping.done():
            began = loop.time()
            await shop.rows()
            slowest = max(slowest, loop.time() - began)
        with pytest.raises(SwapTimedOut):
            await swapping

        assert slowest < 10.0
        waiting = asyncio.create_task(swap(shop.model(), patience_seconds=30))
        await asyncio.sleep(0)
        await holder.rollback()
        await waiting
    assert await shop.schemas() == ["retired_visits"]


async def test_one_process_at_a_time_works_on_a_read_model(shop: Shop) -> None:
    await shop.append()
    async with at_work(shop.model()):
        for each in (rebuild, compare, swap, swap_back, drop_retired, abandon):
            with pytest.raises(RebuildUnderWay):
                await each(shop.model())
    await rebuild(shop.model())


async def test_without_a_rebuild_there_is_nothing_to_compare_or_swap(shop: Shop) -> None:
    for each in (compare, swap):
        with pytest.raises(NothingRebuilt, match="rebuild it first"):
            await each(shop.model())
    await abandon(shop.model())


async def test_a_swap_waits_for_the_retired_to_be_dropped(shop: Shop) -> None:
    await shop.append()
    for _ in range(2):
        await rebuild(shop.model())
        if await shop.schemas() == ["rebuild_visits", "retired_visits"]:
            with pytest.raises(CannotRebuild, match="drop them first"):
                await swap(shop.model())
            await drop_retired(shop.model())
        await swap(shop.model())


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        ("create view shop.seen as select number from shop.visit", "a view reads it"),
        ("alter table shop.beat add foreign key (stream_id) references shop.visit", "foreign keys"),
        (
            "create rule quiet as on delete to shop.beat do instead nothing",
            "rules",
        ),
        (
            "create trigger quiet after truncate on shop.beat execute function es.refuse_change_v1()",
            "triggers",
        ),
        ("alter table shop.beat add column id serial", "serial"),
        ("create table shop.child () inherits (shop.beat)", "parents or children"),
    ],
)
async def test_what_a_clone_would_lack_is_refused_with_the_reason(
    shop: Shop, obstacle: str, why: str
) -> None:
    await shop.execute(obstacle)  # pyright: ignore[reportArgumentType]

    with pytest.raises(CannotRebuild, match=why):
        await rebuild(shop.model())

    assert await shop.schemas() == []


async def test_a_split_projection_is_refused(shop: Shop) -> None:
    await shop.append()
    await shop.execute(
        "insert into es.projection (name, version, partition) values ('visits', 1, 0), ('visits', 1, 1)"
    )

    with pytest.raises(CannotRebuild, match="split into 2 partitions"):
        await rebuild(shop.model())


async def test_rows_gathered_in_memory_are_the_same(shop: Shop) -> None:
    await shop.append(60)
    await shop.caught_up(QuickVisits())

    await rebuild(shop.model(QuickVisits()), page_max=7)

    assert (await compare(shop.model(QuickVisits()))).same
    await shop.append(20)
    await rebuild(shop.model(QuickVisits()))
    await swap(shop.model(QuickVisits()))
    await shop.caught_up(QuickVisits())
    assert sum(row["number"] for row in await shop.rows()) == 80


async def test_what_was_parked_or_paused_is_forgotten_with_the_tables_that_it_was_about(shop: Shop) -> None:
    await shop.append()
    await shop.caught_up()
    await shop.execute(
        "update es.projection set paused_at = now(), error = 'broken' where name = 'visits'",
        "insert into es.parked (name, version, lane, position, stream_id, event_id, event_type, state)"
        " values ('visits', 1, 0, 1, gen_random_uuid(), gen_random_uuid(), 'x', 'failed')",
    )
    await rebuild(shop.model())
    await swap(shop.model())

    assert await shop.select("select error from es.projection where name = 'visits'") == [(None,)]
    assert await shop.select("select name from es.parked") == [("visits#retired",)]
    await swap_back(shop.model())
    assert await shop.select("select name from es.parked") == [("visits",)]


async def test_every_lane_of_the_ledger_is_folded(url_with_lanes: str) -> None:
    async with open_shop(url_with_lanes) as shop:
        tenants = [tenant_in(lane) for lane in range(LANES)]
        for lane, tenant in enumerate(tenants):
            for stream_id in shop.streams[lane * 2 : lane * 2 + 2]:
                await shop.store.append(append_to(stream_id, 5 + lane, tenant=tenant))
        await shop.caught_up()

        assert await rebuild(shop.model(), page_max=4) == {0: 10, 1: 12, 2: 14}
        assert (await compare(shop.model())).same
        await swap(shop.model())
        await shop.store.append(append_to(shop.streams[0], 5, tenant=tenants[0]))
        await shop.caught_up()
        assert sum(row["number"] for row in await shop.rows()) == 41
        assert await positions_at(shop.model(), Position(1, 6)) == {0: 10, 1: 6, 2: 0, -1: 0}


async def test_the_doctor_finds_nothing_wrong_with_what_is_built_retired_or_parked(shop: Shop) -> None:
    async def wrong() -> list[str]:
        return [
            f"{examined.name}: {finding.what}"
            async for examined in examine(shop.url)
            for finding in examined.findings
            if examined.name in {each.name for each in projections.CHECKS}
        ]

    await shop.append()
    await shop.caught_up()
    await rebuild(shop.model(LongVisits()))
    assert await wrong() == []
    await swap(shop.model(LongVisits()))
    assert await wrong() == []
    await shop.execute("update es.projection set expires_at = '9999-01-01', holder = 'x' where version = 2")
    assert await wrong()
