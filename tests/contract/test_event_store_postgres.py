"""What only the store on Postgres has to promise: partitions, lanes, wake-ups, names, many processes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.audit.verify import verify
from eventstore.errors import AppendQueueFull, InvalidAppend, StoreUnavailable
from eventstore.lanes import lane_of
from eventstore.migrate import MigrationChanged, load, migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import PULSE_LANE, Filter, Position, StreamAppend
from tests.fix_events import TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres"]

START = Position(0, 0)


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give an empty store."""
    async with PostgresEventStore.open(database_url) as opened:
        yield opened


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def values(url: str, query: str) -> list[object]:
    """Return the first column of a query's rows."""
    async with connected(url) as connection:
        return [row[0] for row in await (await connection.execute(query.encode())).fetchall()]


PARTITIONS = "select from_position from es.partition where log = 'event' order by 1"
FLOOR = "select floor from es.lane where lane = 0"


async def test_a_partition_is_always_ahead(ledger: PostgresEventStore, database_url: str) -> None:
    assert await values(database_url, PARTITIONS) == [1, 1001]
    await ledger.append(append_to(count=999))
    await ledger.append(append_to(count=1))
    assert await values(database_url, PARTITIONS) == [1, 1001]

    await ledger.append(append_to(count=1))

    assert await values(database_url, PARTITIONS) == [1, 1001, 2001]
    assert await values(database_url, FLOOR) == [1001]


async def test_an_append_across_the_end_of_a_partition_is_one(
    ledger: PostgresEventStore, database_url: str
) -> None:
    stream_id = uuid4()
    await ledger.append(append_to(count=990))

    await ledger.append(append_to(stream_id, 20))
    await ledger.append(append_to(stream_id, 1, expected=20))

    assert [each.version for each in await ledger.read_stream(stream_id)] == list(range(1, 22))
    assert [each.position.number for each in await read_everything(ledger, page=300)] == list(range(1, 1012))
    assert (await verify(ledger)).defect is None


async def test_one_batch_may_fill_several_partitions(ledger: PostgresEventStore, database_url: str) -> None:
    await asyncio.gather(*(ledger.append(append_to(count=1_000)) for _ in range(4)))
    await ledger.append(append_to())

    assert await values(database_url, PARTITIONS) == [1, 1001, 2001, 3001, 4001, 5001]
    assert await values(database_url, FLOOR) == [4001]
    assert (await ledger.head()).number == 4_001
    assert (await verify(ledger)).defect is None


async def test_pulses_fill_partitions_too(ledger: PostgresEventStore, database_url: str) -> None:
    for _ in range(3):
        await asyncio.gather(*(ledger.append_pulse(uuid4(), "worker", TENANT, event()) for _ in range(512)))

    assert (await ledger.head(PULSE_LANE)).number == 1_536
    assert len(await read_everything(ledger, PULSE_LANE)) == 1_536


async def test_a_locked_table_delays_the_next_partition_and_no_append(
    ledger: PostgresEventStore, database_url: str
) -> None:
    await ledger.append(append_to(count=1_000))
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("lock table es.event in share update exclusive mode")  # as ANALYZE does
        await ledger.append(append_to())
        assert await values(database_url, PARTITIONS) == [1, 1001]

    await ledger.append(append_to())

    assert await values(database_url, PARTITIONS) == [1, 1001, 2001]


async def test_a_lost_partition_is_damage_and_not_an_empty_log(
    ledger: PostgresEventStore, database_url: str
) -> None:
    await ledger.append(append_to(count=1_000))
    await ledger.append(append_to())
    async with connected(database_url) as connection:
        await connection.execute("alter table es.event detach partition es.event_from_1001")

    with pytest.raises(StoreUnavailable, match="damaged"):
        await ledger.append(append_to())


async def test_an_open_transaction_in_another_database_hides_nothing(
    ledger: PostgresEventStore, postgres_cluster: EmbeddedPostgres
) -> None:
    async with connected(postgres_cluster.conninfo()) as connection, connection.transaction():
        await connection.execute("select pg_current_xact_id()")
        await ledger.append(append_to(count=3))

        assert [each.position.number for each in await read_everything(ledger)] == [1, 2, 3]


async def test_a_frozen_transaction_in_the_same_database_hides_nothing(
    ledger: PostgresEventStore, database_url: str
) -> None:
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("create table beside (id int)")
        await ledger.append(append_to(count=3))

        assert (await ledger.read_all(START)).scanned == Position(0, 3)


async def test_news_from_another_process_wakes_a_reader(
    ledger: PostgresEventStore, database_url: str
) -> None:
    async with asyncio.timeout(10), PostgresEventStore.open(database_url) as elsewhere:
        await ledger.wait_for_news(START, 5)  # returns when listening has begun
        waiting = asyncio.create_task(ledger.wait_for_news(START, 30))
        await elsewhere.append(append_to())
        await waiting


LISTENERS = (
    "from pg_stat_activity where application_name = 'eventstore listen' and datname = current_database()"
)


async def test_a_killed_listener_listens_again(ledger: PostgresEventStore, database_url: str) -> None:
    async with asyncio.timeout(15), PostgresEventStore.open(database_url) as elsewhere:
        await ledger.wait_for_news(START, 5)
        waiting = asyncio.create_task(ledger.wait_for_news(START, 30))
        assert await values(database_url, f"select pg_terminate_backend(pid) {LISTENERS}") == [True]
        await waiting  # listening anew wakes it: news may have been missed

        waiting = asyncio.create_task(ledger.wait_for_news(START, 30))
        await elsewhere.append(append_to())
        await waiting


async def test_names_made_by_another_process_are_learnt(
    ledger: PostgresEventStore, database_url: str
) -> None:
    await ledger.append(append_to())
    await read_everything(ledger)
    async with PostgresEventStore.open(database_url) as elsewhere:
        new = StreamAppend(uuid4(), "brand new", TENANT, [event(event_type="brand.New")])
        await elsewhere.append(new)

    assert [each.event_type for each in await read_everything(ledger)] == ["test.v1.Happened", "brand.New"]
    page = await ledger.read_all(START, only=Filter(event_types=frozenset({"brand.New"})))
    assert [each.category for each in page.events] == ["brand new"]


async def test_processes_that_name_the_same_things_at_once_agree(database_url: str) -> None:
    async def name_them() -> None:
        async with PostgresEventStore.open(database_url) as each:
            events = [event(event_type=f"type {number}") for number in range(20)]
            await each.append(StreamAppend(uuid4(), "category", TENANT, events))

    await asyncio.gather(*(name_them() for _ in range(6)))

    assert await values(database_url, "select id from es.event_type order by 1") == list(range(1, 21))


async def test_a_full_queue_says_so_and_writes_nothing(database_url: str) -> None:
    async with PostgresEventStore.open(database_url, queue_max=10) as store:
        answers = await asyncio.gather(
            *(store.append(append_to()) for _ in range(25)), return_exceptions=True
        )

        full = [each for each in answers if isinstance(each, AppendQueueFull)]
        assert len(full) == 15
        assert (await store.head()).number == 10


async def test_closing_sends_what_waits(database_url: str) -> None:
    async with PostgresEventStore.open(database_url) as store:
        waiting = [asyncio.create_task(store.append(append_to())) for _ in range(700)]
        await asyncio.sleep(0)

    answers = await asyncio.gather(*waiting)
    assert sorted(each.position.number for each in answers) == list(range(1, 701))


async def test_a_cancelled_caller_harms_nobody(ledger: PostgresEventStore) -> None:
    doomed = asyncio.create_task(ledger.append(append_to()))
    others = [asyncio.create_task(ledger.append(append_to())) for _ in range(5)]
    await asyncio.sleep(0)
    doomed.cancel()

    assert len(await asyncio.gather(*others)) == 5
    assert doomed.cancelled() or (await asyncio.gather(doomed, return_exceptions=True))
    await ledger.append(append_to())


async def test_a_database_that_defaults_to_old_snapshots_changes_nothing(
    ledger: PostgresEventStore, database_url: str
) -> None:
    async with connected(database_url) as connection:
        await connection.execute(
            "do $$ begin execute format('alter database %I set default_transaction_isolation ="
            " ''serializable''', current_database()); end $$"
        )
    async with PostgresEventStore.open(database_url) as fresh:
        stores = [ledger, fresh] * 10
        await asyncio.gather(*(store.append(append_to()) for store in stores))

    assert (await verify(ledger)).events_count == 20


@pytest_asyncio.fixture
async def three_lanes(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """Give a database with three lanes."""
    name = f"lanes_{uuid4().hex[:8]}"
    url = await postgres_cluster.create_database(name)
    await migrate(
        url, settings={"lanes": "3", "event_partition_size": "1000", "pulse_partition_size": "1000"}
    )
    yield url
    await postgres_cluster.drop_database(name)


async def test_each_lane_has_its_own_positions_and_chain(three_lanes: str) -> None:
    tenants = [UUID(int=number) for number in range(12)]
    assert {lane_of(each, 3) for each in tenants} == {0, 1, 2}
    async with PostgresEventStore.open(three_lanes) as store:
        answers = await asyncio.gather(*(store.append(append_to(count=200, tenant=each)) for each in tenants))

        assert [each.position.lane for each in answers] == [lane_of(each, 3) for each in tenants]
        for lane in range(3):
            events = await read_everything(store, lane)
            assert [each.position for each in events] == [
                Position(lane, number) for number in range(1, len(events) + 1)
            ]
            assert (await verify(store, lane)).defect is None
        first, second = next((a, b) for a in tenants for b in tenants if lane_of(a, 3) != lane_of(b, 3))
        with pytest.raises(InvalidAppend, match="within one lane"):
            await store.append(append_to(tenant=first), append_to(tenant=second))


@pytest.mark.parametrize("lanes", [1, 2, 3, 64, 1024])
async def test_database_and_process_agree_on_lanes(database_url: str, lanes: int) -> None:
    tenants = [UUID(int=0), UUID(int=2**128 - 1), *(uuid4() for _ in range(200))]
    query = "select array(select es.lane_of_v1(t, %s::smallint) from unnest(%s::uuid[]) as t)"

    async with connected(database_url) as connection:
        row = await (await connection.execute(query, [lanes, tenants])).fetchone()

    assert row == ([lane_of(each, lanes) for each in tenants],)


async def test_the_database_refuses_a_tenant_in_the_wrong_lane(three_lanes: str) -> None:
    tenant = next(UUID(int=number) for number in range(99) if lane_of(UUID(int=number), 3) == 2)
    call = (
        "select answer_code from es.append_v1(0::smallint, '{1}', array[gen_random_uuid()],"
        " array[%s]::uuid[], '{1}', '{-1}', '{1}', array[gen_random_uuid()], '{1}', '{1}',"
        " array['x'::bytea], '{null}', '{null}', array[''], array[''])"
    )
    async with connected(three_lanes) as connection:
        cursor = await connection.execute(call, [tenant])

        assert await cursor.fetchall() == [(4,)]


async def test_migrating_again_changes_nothing_and_at_once_harms_nothing(
    postgres_cluster: EmbeddedPostgres,
) -> None:
    name = f"migrated_{uuid4().hex[:8]}"
    url = await postgres_cluster.create_database(name)

    applied = await asyncio.gather(*(migrate(url) for _ in range(3)))

    assert sorted(len(each) for each in applied) == [0, 0, len(load())]
    assert await values(url, "select number from es.migration order by 1") == [each.number for each in load()]
    await postgres_cluster.drop_database(name)


async def test_a_migration_that_changed_after_it_was_applied_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    part = tmp_path / "tables" / "beside.sql"
    part.parent.mkdir()
    part.write_text("create table beside (id int);")
    (tmp_path / "0001_first.sql").write_text("\\ir tables/beside.sql\n")
    await migrate(database_url, folder=tmp_path, schema="elsewhere")
    assert await migrate(database_url, folder=tmp_path, schema="elsewhere") == []

    part.write_text("create table beside (id bigint);")

    with pytest.raises(MigrationChanged, match="0001_first"):
        await migrate(database_url, folder=tmp_path, schema="elsewhere")


def test_migrations_without_a_gap_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("select 1;")

    with pytest.raises(ValueError, match="not numbered"):
        load(tmp_path)


async def test_a_store_without_a_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        async with PostgresEventStore.open(f"host={tmp_path} dbname=none user=x", patience_seconds=0.3):
            pass
