"""The doctor: finds nothing in a healthy database, and in a damaged one exactly the damage."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from eventstore.archive.folder_storage import FolderStorage
from eventstore.care.check import Severity
from eventstore.care.examination import Reach, examine
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from services.projections.migration import migrate as migrate_services
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from eventstore.care.check import Finding

pytest_plugins = ["tests.fix_postgres"]

STREAM: Final = UUID("0190b000-0000-7000-8000-000000000001")
#: The tests' cluster need not survive a power cut; these are the checks that say so.
OF_THE_TESTS_CLUSTER: Final = {"settings"}


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def run(url: str, *statements: str) -> None:
    """Run statements as the superuser."""
    async with session(url) as connection:
        for each in statements:
            await connection.execute(each.encode())


async def populate(url: str) -> None:
    """Give two partitions of events, a pulse, a projection and a customer's key."""
    async with PostgresEventStore.open(url) as store:
        await store.append(append_to(STREAM, 5))
        await store.append(append_to(count=1_000, tenant=OTHER_TENANT))
        await store.append(append_to(STREAM, 5, expected=5), append_to(count=5))
        await store.append_pulse(STREAM, "worker", TENANT, event())
    async with Vault(url, LocalMasterKey(bytes(32))) as vault:
        await vault.seal(TENANT, b"", b"secret")
    await run(
        url, """insert into es.projection (name, version, positions) values ('model', 1, '{"0": 1015}')"""
    )


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    """Give a healthy database with something of everything."""
    await populate(database_url)
    return database_url


async def found(url: str, *, deep: bool = False, reach: Reach | None = None) -> dict[str, list[Finding]]:
    """Return what the doctor finds, by check."""
    examined = [each async for each in examine(url, deep=deep, reach=reach)]
    return {
        each.name: list(each.findings)
        for each in examined
        if each.findings and each.name not in OF_THE_TESTS_CLUSTER
    }


@pytest.mark.parametrize("deep", [False, True])
async def test_nothing_is_found_in_a_healthy_database(url: str, *, deep: bool) -> None:
    assert await found(url, deep=deep) == {}


async def test_nothing_is_found_in_an_empty_database(database_url: str) -> None:
    assert await found(database_url, deep=True) == {}


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to a database, and which checks find it, each at what place."""

    done: tuple[str, ...]
    found: dict[str, str]
    deep: bool = False


def forced(table: str, statement: str) -> tuple[str, ...]:
    """Return the statements that change a table of history in spite of its guard."""
    return (
        f"alter table {table} disable trigger append_only",
        statement,
        f"alter table {table} enable always trigger append_only",
    )


def of_event(statement: str) -> tuple[str, ...]:
    """Return a forced change of the ledger."""
    return forced("es.event", statement)


REWRITTEN: Final = (
    "create or replace function es.lane_of_v1(p_tenant uuid, p_lanes smallint) returns smallint language sql"
    " as 'select 0::smallint'"
)

ERASED: Final = (
    "update vault.tenant_key set wrapped_key = null, destroyed_at = clock_timestamp()",
    "insert into es.erasure select tenant, now(), 'x', sha256('x'), sha512('x') from vault.tenant_key",
)
CERTIFIED: Final = ERASED[1:]
ARCHIVED: Final = (
    """
    insert into es.archive (from_position, to_position, format_version, url, events, hot_bytes,
                            first_recorded_at, last_recorded_at)
    values (1, 1001, 1, 'file:///archive', 1000, 1, now(), now());
    insert into es.archive_lane values (1, 0, sha256('a'), sha256('b'), null, null);
    insert into es.archive_object
    select 1, c, c, 9, sha256('c'), 0, sha256('c') from unnest(array['events', 'streams']) as c;
    insert into es.archive_part values
      (1, 'events', 0, 0, 9, sha256('d'), 0, 1, 1000, null, null),
      (1, 'streams', 0, 0, 9, sha256('d'), null, null, null, gen_random_uuid(), gen_random_uuid())
    """,
)
SEALED: Final = forced(
    "es.log_seal",
    """
    insert into es.log_seal
    select 0, 2, 6, 10, log_id, now(), sha256('r'), sha256('h'), sha256('p'), sha256('k'), sha512('s')
    from es.log_identity
    """,
)
PARK: Final = """
insert into es.parked (name, version, lane, position, stream_id, event_id, event_type, state)
select 'model', 1, lane, position, stream_id, event_id, 'x', 'failed' from es.event where position = 8
"""

DAMAGES: Final[dict[str, Damage]] = {
    "an event deleted": Damage(
        of_event("delete from es.event where position = 500"),
        {"positions": "position 500", "versions": "position 501"},
    ),
    "a pulse deleted, and one added beyond": Damage(
        forced("es.pulse", "update es.pulse set position = 7"), {"pulses": "lane -1, position 1"}
    ),
    "the end cut off": Damage(
        (*of_event("delete from es.event where position > 1010"), "delete from es.projection"),
        {"lone heads": "position 1011", "lone keys": "position 1011"},
        deep=True,
    ),
    "time set back": Damage(
        of_event("update es.event set recorded_at = recorded_at - interval '1 hour' where position = 700"),
        {"times": "position 700", "chain": "position 700", "keys": "position 700"},
    ),
    "one bit of a payload": Damage(
        of_event(
            "update es.event set payload = set_bit(payload, 0, 1 - get_bit(payload, 0)) where position = 3"
        ),
        {"chain": "position 3"},
    ),
    "the chain, looked at whole": Damage(
        of_event("update es.event set actor = 'x' where position = 800"),
        {"chain": "position 800", "whole chain": "position 800"},
        deep=True,
    ),
    "a head moved": Damage(
        ("update es.stream_head set version = 12 where first_position = 1",), {"heads": "position 1"}
    ),
    "a head lost": Damage(("delete from es.stream_head where first_position = 1",), {"heads": "position 1"}),
    "a head of another tenant": Damage(
        ("update es.stream_head set tenant = gen_random_uuid() where first_position = 1",),
        {"heads": "position 1"},
    ),
    "a head that begins elsewhere": Damage(
        ("update es.stream_head set first_position = 2 where first_position = 1",),
        {"heads": "position 1"},
    ),
    "a head without events": Damage(
        ("insert into es.stream_head values (gen_random_uuid(), gen_random_uuid(), 44, 1, 0, 1)",),
        {"lone heads": "position 44"},
        deep=True,
    ),
    "a key lost": Damage(
        forced("es.event_key", "delete from es.event_key where position = 9"), {"keys": "position 9"}
    ),
    "a key altered": Damage(
        forced("es.event_key", "update es.event_key set version = 77 where position = 9"),
        {"keys": "position 9"},
    ),
    "a key without an event": Damage(
        forced(
            "es.event_key",
            "insert into es.event_key select gen_random_uuid(), stream_id, position, recorded_at, version,"
            " lane, ordinal, count from es.event_key where position = 9",
        ),
        {"lone keys": "position 9"},
        deep=True,
    ),
    "a floor too low": Damage(("update es.lane set floor = 1 where lane = 0",), {"floors": "lane 0"}),
    "a floor in an empty lane": Damage(
        (*forced("es.pulse", "delete from es.pulse"), "update es.lane set floor = 1001 where lane = -1"),
        {"floors": "lane -1"},
    ),
    "no partition ahead": Damage(
        (
            "drop table es.event_from_2001",
            "delete from es.partition where log = 'event' and from_position = 2001",
        ),
        {"partitions ahead": "es.event"},
    ),
    "a partition detached": Damage(
        ("alter table es.pulse detach partition es.pulse_from_1001",), {"partitions": "partition from 1001"}
    ),
    "a partition unknown": Damage(
        ("delete from es.partition where log = 'pulse' and from_position = 1001",),
        {"partitions": "partition from 1001", "partitions ahead": "es.pulse"},
    ),
    "a partition recorded shorter": Damage(
        ("update es.partition set to_position = 1900 where log = 'event' and from_position = 1001",),
        {"partitions": "partition from 1001", "archive joints": "partition from 2001"},
    ),
    "pulses that leave a range out": Damage(
        (
            "alter table es.pulse detach partition es.pulse_from_1001",
            "alter table es.pulse attach partition es.pulse_from_1001 for values from (1500) to (2001)",
            "update es.partition set from_position = 1500 where log = 'pulse' and from_position = 1001",
        ),
        {"partitions": "partition from 1500"},
    ),
    "a guard taken away": Damage(
        ("drop trigger append_only on es.event_from_1",), {"append only": "es.event_from_1"}
    ),
    "a guard that a replica passes": Damage(
        ("alter table es.event_key enable trigger append_only",), {"append only": "es.event_key"}
    ),
    "an index dropped": Damage(
        ("drop index es.event_from_1_stream",), {"unique versions": "es.event_from_1"}
    ),
    "row security switched off": Damage(
        ("alter table es.stream_head no force row level security",), {"row security": "es.stream_head"}
    ),
    "a policy for everybody": Damage(
        ("create policy open on es.event for select using (true)",), {"row security": "es.event"}
    ),
    "the beginning lost": Damage(
        ("drop table es.event_from_1", "delete from es.partition where log = 'event' and from_position = 1"),
        {"archive joints": "partition from 1001"},
    ),
    "an archive without its objects": Damage(
        (*ARCHIVED, "delete from es.archive_part", "delete from es.archive_object"),
        {"archive records": "partition from 1"},
    ),
    "an archive of what stands in the log": Damage(
        (*ARCHIVED, "update es.archive set detached_at = now()"), {"archive joints": "partition from 1"}
    ),
    "a log seal missing": Damage(SEALED, {"log seals": "log seal 2"}),
    "a log seal that ends elsewhere": Damage(
        tuple(each.replace("2, 6, 10", "1, 1, 10") for each in SEALED), {"log seals": "log seal 1"}
    ),
    "partitions of a projection missing": Damage(
        ("update es.projection set partition = 1",), {"projection partitions": "projection model"}
    ),
    "a projection paused": Damage(
        ("update es.projection set paused_at = now(), failed_lane = 0, failed_position = 7, error = 'why'",),
        {"paused": "position 7"},
    ),
    "an event parked": Damage((PARK,), {"parked": "position 8"}),
    "a checkpoint ahead": Damage(
        ("""update es.projection set positions = '{"0": 1016}'""",), {"checkpoints": "projection model"}
    ),
    "a checkpoint in no lane": Damage(
        ("""update es.projection set positions = '{"3": 1}'""",), {"checkpoints": "projection model"}
    ),
    "a lease for ever": Damage(
        ("update es.projection set holder = 'x', epoch = 1, expires_at = now() + interval '9 days'",),
        {"leases": "projection model"},
    ),
    "a lease without an end": Damage(
        ("update es.projection set holder = 'x', epoch = 1",), {"leases": "projection model"}
    ),
    "a lease never handed out": Damage(
        ("update es.projection set holder = 'x', expires_at = now()",), {"leases": "projection model"}
    ),
    "a right too many": Damage(
        ("grant delete on es.stream_head to es_append",), {"grants": "es.stream_head"}
    ),
    "a right for everybody": Damage(("grant select on es.event_key to public",), {"grants": "es.event_key"}),
    "a right to a column": Damage(
        ("grant update (payload) on es.event to es_read_all",), {"grants": "es.event"}
    ),
    "a right on a partition": Damage(
        ("grant insert on es.event_from_1 to es_append",), {"grants": "es.event_from_1"}
    ),
    "a right lost": Damage(
        ("revoke execute on function es.append_pulse_v1 from es_append",), {"grants": "es.append_pulse_v1"}
    ),
    "a function for everybody": Damage(
        ("grant execute on function es.enter_partition_v1 to public",), {"grants": "es.enter_partition_v1"}
    ),
    "a function rewritten": Damage(
        (REWRITTEN,),
        {"functions": "es.lane_of_v1"},
    ),
    "a function as its caller": Damage(
        ("alter function es.intern_v1 security invoker",), {"functions": "es.intern_v1"}
    ),
    "a function without a path": Damage(
        ("alter function es.intern_v1 reset search_path",), {"functions": "es.intern_v1"}
    ),
    "a function of somebody else": Damage(
        ("alter function es.lane_of_v1 owner to current_user",), {"functions": "es.lane_of_v1"}
    ),
    "a function too many": Damage(
        (
            "create function es.extra() returns int language sql return 1",
            "alter function es.extra owner to es_owner",
            "revoke all on function es.extra from public",
        ),
        {"functions": "es.extra"},
    ),
    "a function too few": Damage(
        ("alter function es.lane_of_v1 rename to lane_of_v0", "drop function es.lane_of_v0"),
        {"functions": "es.lane_of_v1"},
    ),
    "a table of somebody else": Damage(
        ("alter table es.setting owner to current_user",), {"owners": "es.setting"}
    ),
    "a schema open to all": Damage(("grant create on schema es to es_append",), {"schemas": "schema es"}),
    "a migration unknown": Damage(
        ("insert into es.migration (number, name, checksum) values (9999, 'future', '')",),
        {"migrations": "migration 9999_future"},
    ),
    "a migration not applied": Damage(
        ("delete from es.migration where number = 2",), {"migrations": "migration 0002_vault"}
    ),
    "a migration changed": Damage(
        ("update es.migration set checksum = '' where number = 1",),
        {"migrations": "migration 0001_event_store"},
    ),
    "a key destroyed before it was": Damage(
        (*ERASED, "update vault.tenant_key set destroyed_at = created_at - interval '1 day'"),
        {"vault keys": "tenant"},
    ),
    "a key back after its tenant was erased": Damage(CERTIFIED, {"certificates": "tenant"}),
    "a key destroyed without a certificate": Damage(ERASED[:1], {"certificates": "tenant"}),
    "nobody to keep destroyed keys destroyed": Damage(
        ("alter table vault.tenant_key enable trigger refuse_revival",), {"vault rules": "vault.tenant_key"}
    ),
    "a second master key": Damage(
        ("insert into vault.tenant_key select gen_random_uuid(), gen_random_uuid(), 'x', 'older'",),
        {"master keys": "vault.tenant_key"},
    ),
    "no rule for destroyed keys": Damage(
        ("alter table vault.tenant_key drop constraint tenant_key_check",),
        {"vault rules": "vault.tenant_key"},
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_exactly_the_damage_is_found(url: str, name: str) -> None:
    damage = DAMAGES[name]
    await run(url, *damage.done)

    findings = await found(url, deep=damage.deep)

    assert findings.keys() == damage.found.keys(), findings
    for check, place in damage.found.items():
        assert place in findings[check][0].where
        assert all(each.what and each.to_do for each in findings[check])


async def test_only_the_end_of_the_log_is_looked_at_unless_asked(url: str) -> None:
    await run(url, *of_event("delete from es.event where position = 4"))

    assert await found(url, reach=Reach(depth=100)) == {}
    assert "positions" in await found(url)


async def test_what_an_old_transaction_holds_back_is_advice(url: str) -> None:
    async with session(url) as connection, connection.transaction():
        await connection.execute("create table beside (id int)")
        findings = await found(url, reach=Reach(old_seconds=0))

    assert "open for 0 s" in findings["old transactions"][0].what
    assert {each.severity for each in findings["old transactions"]} == {Severity.ADVICE}
    assert await found(url) == {}


async def test_whoever_sits_on_a_lanes_lock_is_named(url: str) -> None:
    async with session(url) as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(x'6573'::int, 0)")
        findings = await found(url, reach=Reach(idle_seconds=0))

        assert f"session {connection.info.backend_pid}" in findings["append lock"][0].what
        assert findings["append lock"][0].where == "lane 0"


async def test_dead_rows_are_advice(url: str) -> None:
    async with session(url) as connection:
        await connection.execute("alter table es.stream_head set (autovacuum_enabled = off)")
        for _ in range(3):
            await connection.execute("update es.stream_head set version = version")
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select 1")

    findings = await found(url, reach=Reach(dead_rows=0))

    assert "es.stream_head" in {each.where for each in findings["bloat"]}
    assert {each.severity for each in findings["bloat"]} == {Severity.ADVICE}


async def test_settings_that_lose_data_are_found(database_url: str) -> None:
    examined = {each.name: each async for each in examine(database_url)}

    severities = {each.what.split()[0]: each.severity for each in examined["settings"].findings}
    assert severities == {
        "fsync": Severity.WRONG,
        "full_page_writes": Severity.WRONG,
        "synchronous_commit": Severity.ADVICE,
    }


async def test_an_event_that_waits_long_for_its_seal_is_found(url: str) -> None:
    assert "sealing" not in await found(url)
    (never,) = (await found(url, reach=Reach(old_seconds=0)))["sealing"]
    assert never.severity is Severity.ADVICE

    await run(url, *(each.replace("0, 2, 6, 10", "0, 1, 1, 10") for each in SEALED))
    (late,) = (await found(url, reach=Reach(seal_seconds=0)))["sealing"]
    assert (late.severity, late.where) == (Severity.WRONG, "lane 0, position 11")


async def test_what_was_left_half_archived_is_advice(url: str) -> None:
    await run(url, *ARCHIVED, "update es.archive set detached_at = now() - interval '2 hours'")

    assert "archived partition from 1" in (await found(url))["archive ways"][0].where


async def test_an_archived_object_that_is_missing_or_cut_short_is_found(url: str, tmp_path: Path) -> None:
    await run(url, *ARCHIVED)
    storage = FolderStorage(tmp_path)
    (tmp_path / "events").write_bytes(bytes(9))
    (tmp_path / "streams").write_bytes(bytes(9))

    async def objects() -> list[str]:
        examined = [each async for each in examine(url, storage=storage) if each.name == "archive objects"]
        return [finding.what for each in examined for finding in each.findings]

    assert await objects() == []
    (tmp_path / "events").write_bytes(bytes(8))
    (tmp_path / "streams").unlink()
    short, missing = await objects()
    assert "has 8 bytes, not the 9" in short
    assert "streams is missing" in missing


async def test_appends_under_way_are_no_findings(url: str) -> None:
    ended = asyncio.Event()

    async def keep_appending(store: PostgresEventStore) -> None:
        while not ended.is_set():
            await store.append(append_to(count=7))
            await store.append_pulse(STREAM, "worker", TENANT, event())

    async with PostgresEventStore.open(url) as store, asyncio.TaskGroup() as beside:
        for _ in range(8):
            beside.create_task(keep_appending(store))
        findings = [await found(url, deep=deep) for deep in (False, True, False, True)]
        ended.set()

    assert findings == [{}] * 4


async def test_the_services_of_an_application_are_no_findings(database_url: str) -> None:
    await migrate_services(database_url)

    assert await found(database_url, deep=True) == {}
    await run(database_url, "grant update on es.lane to bolt_monitor")
    assert (await found(database_url)).keys() == {"grants"}
