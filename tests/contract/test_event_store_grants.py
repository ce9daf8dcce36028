"""No login but the owner can alter history: every forbidden statement, on every table, by every role.

The logins are real ones: no superuser, one membership each, as in production.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, LiteralString
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from eventstore.audit.verify import verify
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter, Partitions, Position
from services.projections.migration import migrate as migrate_services
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

pytest_plugins = ["tests.fix_postgres"]

#: Each is the only membership of a login of its own.
ROLES: Final = (
    *("es_append", "es_read_all", "es_read_tenant", "es_project", "es_rebuild", "es_seal", "es_archive"),
    *(
        "es_care",
        "vault_keeper",
        "bolt_intake",
        "bolt_scheduler",
        "bolt_submitter",
        "bolt_monitor",
        "bolt_tenant",
    ),
)
#: What the store's own code may do to its tables, beyond reading: the rest goes through functions.
MAY: Final = {
    ("es_project", "es.projection"): {"insert", "update"},
    ("es_project", "es.parked"): {"insert", "update", "delete"},
    ("vault_keeper", "vault.tenant_key"): {"insert", "update"},
}
EXECUTABLE: Final = """
select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('es', 'vault') and p.prorettype <> 'trigger'::regtype
  and has_function_privilege(%(role)s, p.oid, 'execute')
"""
#: Who owns what, who has which right, which guards and policies stand: the same before and after.
CATALOG: Final = """
select array_agg(concat_ws(' ', c.oid::regclass, pg_get_userbyid(c.relowner), c.relacl::text,
         c.relrowsecurity,
         (select array_agg(concat_ws(' ', t.tgname, t.tgenabled) order by t.tgname)::text
          from pg_trigger t where t.tgrelid = c.oid),
         (select count(*) from pg_policy p where p.polrelid = c.oid),
         (select count(*) from pg_rewrite r where r.ev_class = c.oid)) order by c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('es', 'vault')
"""
#: With `{}` for the table. `where false` changes nothing, and is refused all the same.
ON_A_TABLE: Final[dict[str, LiteralString]] = {
    "insert": "insert into {} select * from {} where false",
    "update": "update {} set {} = {} where false",
    "delete": "delete from {} where false",
    "truncate": "truncate {}",
    "alter": "alter table {} add column more int",
    "rename": "alter table {} rename to renamed",
    "own": "alter table {} owner to current_user",
    "drop": "drop table {}",
    "disable": "alter table {} disable trigger all",
    "enable for replicas": "alter table {} enable replica trigger append_only",
    "add a trigger": "create trigger mine before insert on {} execute function es.refuse_change_v1()",
    "drop the trigger": "drop trigger append_only on {}",
    "add a rule": "create rule mine as on insert to {} do instead nothing",
    "add a policy": "create policy mine on {} using (true)",
    "lift row security": "alter table {} disable row level security",
    "lock out": "lock table {} in access exclusive mode",
    "index": "create index mine on {} ((1))",
    "comment": "comment on table {} is 'mine'",
}
ON_EVERYTHING: Final = (
    "set session_replication_role = replica",
    "set role es_owner",
    "set session authorization es_owner",
    "create table es.mine (id int)",
    "create function es.mine() returns int language sql as 'select 1'",
    "create table es.event_from_9000001 partition of es.event for values from (9000001) to (9000002)",
    "alter table es.event detach partition es.event_from_1",
    "drop schema es cascade",
    "alter schema es owner to current_user",
    "alter role es_owner login",
    "grant es_owner to current_user",
    "alter system set fsync = off",
    "select es.make_append_only_v1('es.event')",
    "select es.enter_partition_v1('event', 0::smallint, 1, 1)",
)
REFUSALS: Final = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.WrongObjectType,  # a rule on a partition; refused before rights are looked at
    psycopg.errors.UndefinedObject,  # no such trigger on this table
    psycopg.errors.FeatureNotSupported,
)


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    """Give a database with everything in it: the services' roles, events, pulses, several partitions."""
    await migrate_services(database_url)
    async with PostgresEventStore.open(database_url) as store:
        await store.append(append_to(count=1_000))
        await store.append(append_to(count=5, tenant=OTHER_TENANT))
        await store.append_pulse(uuid4(), "worker", TENANT, event())
    return database_url


@asynccontextmanager
async def login(url: str, *memberships: str) -> AsyncGenerator[str]:
    """Make a login with some memberships; gives its URL, and removes it."""
    name = f"login_{uuid4().hex[:12]}"
    async with session(url) as connection:
        await connection.execute(
            sql.SQL("create role {} login nosuperuser nocreaterole nocreatedb inherit in role {}").format(
                sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, memberships))
            )
        )
    try:
        yield make_conninfo(url, user=name)
    finally:
        async with session(url) as connection:
            await connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def forbidden(role: str, table: tuple[str, str], column: str) -> Iterator[sql.Composed]:
    """Yield what the role may not do to a table."""
    allowed = MAY.get((role, ".".join(table)), set())
    if role.startswith("bolt_"):
        allowed = {verb for (_, name), verbs in MAY.items() if name == ".".join(table) for verb in verbs}
    if allowed:
        allowed = {*allowed, "lock out"}
    where, what = sql.Identifier(*table), sql.Identifier(column)
    for verb, statement in ON_A_TABLE.items():
        if verb not in allowed:
            parts = (where, what, what) if verb == "update" else (where, where)
            yield sql.SQL(statement).format(*parts[: statement.count("{}")])


async def tables_of(connection: psycopg.AsyncConnection) -> list[tuple[str, str, str]]:
    """Return schema, name and first column of each table."""
    cursor = await connection.execute(
        "select n.nspname, c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = 1"
        " where n.nspname in ('es', 'vault') and c.relkind in ('r', 'p') order by 1, 2"
    )
    return await cursor.fetchall()


@pytest.mark.parametrize("role", ROLES)
async def test_no_login_can_alter_history(url: str, role: str) -> None:
    async with session(url) as owner, login(url, role) as theirs:
        before = await (await owner.execute(CATALOG.encode())).fetchone()
        async with session(theirs) as connection:
            await try_everything(connection, role, await tables_of(owner))
            await connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            await try_everything(connection, role, await tables_of(owner))
        assert await (await owner.execute(CATALOG.encode())).fetchone() == before

    async with PostgresEventStore.open(url) as store:
        assert (await verify(store)).events_count == 1_005
        assert (await store.append(append_to())).position.number == 1_006


async def try_everything(
    connection: psycopg.AsyncConnection, role: str, tables: Sequence[tuple[str, str, str]]
) -> None:
    """Try every forbidden statement, as whoever the session is."""
    tried = 0
    for schema, name, column in tables:
        for statement in forbidden(role, (schema, name), column):
            tried += 1
            with pytest.raises(REFUSALS):
                async with connection.transaction():
                    await connection.execute(statement)
        # Whoever may read gets a warning and no error: nothing may come of it.
        with suppress(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                sql.SQL("grant all on {} to public").format(sql.Identifier(schema, name))
            )
    for text in ON_EVERYTHING:
        with pytest.raises(REFUSALS):
            await connection.execute(text.encode())
    assert tried >= 14 * len(tables)


@pytest.mark.parametrize(
    ("role", "meant"),
    [
        ("es_append", r"(append|append_one|append_pulse|intern|import|open_import)_v\d"),
        ("es_read_tenant", r"partition_of_v1"),
        ("es_seal", r"add_log_seal_v1"),
        ("vault_keeper", r"record_erasure_v1"),
    ],
)
async def test_a_role_can_execute_what_it_is_for_and_nothing_else(url: str, role: str, meant: str) -> None:
    async with session(url) as connection:
        cursor = await connection.execute(EXECUTABLE.encode(), {"role": role})
        names = [name for (name,) in await cursor.fetchall()]

    assert names
    assert [name for name in names if not re.fullmatch(meant, name)] == []


async def test_a_tenant_in_a_filter_is_kept_by_the_database_too(url: str) -> None:
    async with login(url, "es_read_all", "es_read_tenant") as theirs:
        async with session(url) as connection:
            # Whatever the query asks for: with this policy, a tenant's role sees nothing at all.
            await connection.execute("alter policy read_tenant on es.event using (false)")
            await connection.execute("alter policy read_tenant on es.pulse using (false)")
        async with PostgresEventStore.open(theirs) as store:
            for lane in (LEDGER_LANE, PULSE_LANE):
                page = await store.read_all(Position(lane, 0), only=Filter(tenant=TENANT))
                assert (len(page.events), page.scanned.number > 0) == (0, True)
                everything = await store.read_all(Position(lane, 0))
                assert everything.events


async def test_a_tenants_streams_can_be_followed_by_partitions(url: str) -> None:
    async with (
        login(url, "es_read_all", "es_read_tenant") as theirs,
        PostgresEventStore.open(theirs) as store,
    ):
        pages = await asyncio.gather(
            *(
                store.read_all(
                    Position(LEDGER_LANE, 0),
                    only=Filter(tenant=OTHER_TENANT, partitions=Partitions(4, frozenset({number}))),
                )
                for number in range(4)
            )
        )

    assert sorted(len(page.events) for page in pages) == [0, 0, 0, 5]
