"""What the database itself refuses, and what verification finds when somebody forced it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.audit.verify import verify
from eventstore.postgres import PostgresEventStore
from eventstore.types import Defect, Position, StreamAppend
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from eventstore.store import EventStore

pytest_plugins = ["tests.fix_postgres"]


@asynccontextmanager
async def session(url: str, role: str | None = None) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser, or in a role."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select set_config('role', %s, false)", [role or "none"])
        yield connection


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give a store with ten events of two tenants, and a pulse."""
    async with PostgresEventStore.open(database_url) as opened:
        await opened.append(append_to(count=5))
        await opened.append(append_to(count=5, tenant=OTHER_TENANT))
        await opened.append_pulse(uuid4(), "worker", TENANT, event())
        yield opened


CHANGES = [
    "update es.event set actor = 'x' where position = 1",
    "update es.event set actor = 'x' where false",
    "delete from es.event where position = 1",
    "truncate es.event",
    "update es.event_from_1 set actor = 'x'",
    "delete from es.event_from_1",
    "truncate es.event_from_1",
    "update es.pulse set actor = 'x'",
    "delete from es.pulse",
    "truncate es.pulse",
    "truncate es.pulse_from_1",
    "update es.event_key set version = 9",
    "delete from es.event_key",
    "update es.event_type set name = 'x'",
    "delete from es.category",
]


@pytest.mark.parametrize("role", [None, "es_owner"])
@pytest.mark.parametrize("replication", ["origin", "replica"])
async def test_history_cannot_be_changed(
    ledger: PostgresEventStore, database_url: str, role: str | None, replication: str
) -> None:
    async with session(database_url) as connection:
        await connection.execute("select set_config('session_replication_role', %s, false)", [replication])
        await connection.execute("select set_config('role', %s, false)", [role or "none"])
        for statement in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                await connection.execute(statement.encode())

    assert (await verify(ledger)).defect is None


BEYOND_SERVICES = [
    "insert into es.event_type values (99, 'x')",
    "insert into es.event select * from es.event limit 1",
    "update es.stream_head set version = 1",
    "delete from es.event",
    "select es.create_partitions_ahead_v1('event', 1)",
    "select es.enter_partition_v1('event', 0::smallint, 1, 1)",
    "alter table es.event disable trigger all",
    "drop table es.event",
]


@pytest.mark.parametrize("role", ["es_append", "es_read_all", "es_read_tenant", "es_project"])
async def test_services_can_do_nothing_to_the_tables(database_url: str, role: str) -> None:
    async with session(database_url, role) as connection:
        for statement in BEYOND_SERVICES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())


async def test_appending_takes_only_the_function(ledger: PostgresEventStore, database_url: str) -> None:
    async with session(database_url, "es_append") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select from es.event")
    async with session(database_url, "es_read_all") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select es.intern_v1('{a}', '{b}')")


@pytest.mark.parametrize(
    ("tenant", "expected"), [(TENANT, 5), (OTHER_TENANT, 5), (uuid4(), 0), ("", 0), (None, 0)]
)
async def test_a_tenant_sees_its_own_events_and_nobody_elses(
    ledger: PostgresEventStore, database_url: str, tenant: object, expected: int
) -> None:
    async with session(database_url, "es_read_tenant") as connection:
        if tenant is not None:
            await connection.execute("select set_config('directorybolt.tenant', %s, false)", [str(tenant)])
        cursor = await connection.execute("select tenant::text from es.event")
        found = await cursor.fetchall()

    assert len(found) == expected
    assert set(found) <= {(str(tenant),)}


async def test_partitions_are_no_way_around_the_policy(ledger: PostgresEventStore, database_url: str) -> None:
    async with session(database_url, "es_read_tenant") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select from es.event_from_1")


async def test_an_untouched_log_verifies(store: EventStore) -> None:
    assert (await verify(store)).end == Position(0, 0)
    await store.append(append_to(count=3))
    last = await store.append(append_to(count=40))

    found = await verify(store)

    assert (found.events_count, found.end, found.end_recorded_at) == (43, last.position, last.recorded_at)
    assert (found.first_bad, found.defect) == (None, None)


#: What somebody with every right might do, and where it must be found.
TAMPERING = {
    "a bit of a payload": ("set payload = '\\x7f' where position = 4", 4, Defect.HASH),
    "an actor": ("set actor = 'somebody else' where position = 4", 4, Defect.HASH),
    "a trace": ("set trace_parent = 'x' where position = 4", 4, Defect.HASH),
    "a time": ("set recorded_at = recorded_at - interval '1 microsecond' where position = 4", 4, Defect.HASH),
    "a stream": ("set stream_id = gen_random_uuid() where position = 4", 4, Defect.HASH),
    "a tenant": ("set tenant = gen_random_uuid() where position = 4", 4, Defect.HASH),
    "an id": ("set event_id = gen_random_uuid() where position = 4", 4, Defect.HASH),
    "a version": ("set version = 77 where position = 4", 4, Defect.HASH),
    "a schema version": ("set schema_version = 2 where position = 4", 4, Defect.HASH),
    "a correlation": ("set correlation_id = gen_random_uuid() where position = 4", 4, Defect.HASH),
    "a causation": ("set causation_id = gen_random_uuid() where position = 4", 4, Defect.HASH),
    "a hash": ("set hash = sha256(hash) where position = 4", 4, Defect.HASH),
    "a type": ("set event_type = 2 where position = 4", 4, Defect.HASH),
    "the first event": ("set payload = '' where position = 1", 1, Defect.HASH),
    "the last event": ("set payload = '' where position = 10", 10, Defect.HASH),
}


async def force(url: str, *statements: str) -> None:
    """Change history with every right there is."""
    async with session(url) as connection:
        await connection.execute("alter table es.event_from_1 disable trigger all")
        await connection.execute("alter table es.event_type disable trigger all")
        for statement in statements:
            await connection.execute(statement.encode())


@pytest.mark.parametrize("case", TAMPERING.values(), ids=TAMPERING.keys())
async def test_a_changed_column_is_found(
    ledger: PostgresEventStore, database_url: str, case: tuple[str, int, Defect]
) -> None:
    statement, position, defect = case
    await ledger.append(StreamAppend(uuid4(), "job", TENANT, [event(event_type="another.type")]))

    await force(database_url, f"update es.event_from_1 {statement}")

    found = await verify(ledger)
    assert (found.first_bad, found.defect) == (Position(0, position), defect)
    assert found.end == Position(0, position - 1)


async def test_a_deleted_event_is_found(ledger: PostgresEventStore, database_url: str) -> None:
    await force(database_url, "delete from es.event_from_1 where position = 6")

    found = await verify(ledger)

    assert (found.first_bad, found.defect, found.events_count) == (Position(0, 6), Defect.GAP, 5)


async def test_swapped_events_are_found(ledger: PostgresEventStore, database_url: str) -> None:
    await force(
        database_url,
        "update es.event_from_1 set position = 500 where position = 7",
        "update es.event_from_1 set position = 7 where position = 8",
        "update es.event_from_1 set position = 8 where position = 500",
    )

    found = await verify(ledger)

    assert (found.first_bad, found.defect) == (Position(0, 7), Defect.HASH)


async def test_a_renamed_event_type_is_found(ledger: PostgresEventStore, database_url: str) -> None:
    await force(database_url, "update es.event_type set name = 'test.v1.NeverHappened'")
    async with PostgresEventStore.open(database_url) as fresh:
        found = await verify(fresh)

    assert (found.first_bad, found.defect) == (Position(0, 1), Defect.HASH)
    await verify(ledger)


async def test_a_chain_that_runs_backwards_in_time_is_found(
    ledger: PostgresEventStore, database_url: str
) -> None:
    await force(
        database_url,
        "update es.event_from_1 set recorded_at = recorded_at - interval '1 hour' where position = 10",
        """
        update es.event_from_1 e set hash = sha256(p.hash || es.leaf_v1(
          e.position, e.lane, e.recorded_at, e.event_id, e.stream_id, e.version, e.schema_version, e.tenant,
          e.correlation_id, e.causation_id, c.name, t.name, e.trace_parent, e.actor, e.payload))
        from es.event_from_1 p, es.category c, es.event_type t
        where e.position = 10 and p.position = 9 and c.id = e.category and t.id = e.event_type
        """,
    )

    found = await verify(ledger)

    assert (found.first_bad, found.defect) == (Position(0, 10), Defect.ORDER)
