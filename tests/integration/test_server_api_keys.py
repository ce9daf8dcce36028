"""API keys on a real Postgres: made, checked, revoked; nothing in the database opens anything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from services.domain.errors import StoreDown
from services.runtime.api_key import ApiKey
from services.runtime.principal import Kind
from services.runtime.tables.api_keys import TRUST_SECONDS, ApiKeyTable
from services.runtime.tables.pool import open_pool
from tests.doubles.manual_clock import ManualClock
from tests.fix_runtime_tables import bare_url, pool, postgres_cluster, tables_url

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    Pool = AsyncConnectionPool[AsyncConnection[Any]]

__all__ = ["bare_url", "pool", "postgres_cluster", "tables_url"]

CUSTOMER = uuid4()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table(pool: Pool, clock: ManualClock) -> ApiKeyTable:
    return ApiKeyTable(pool, clock)


async def _made(table: ApiKeyTable, clock: ManualClock, days: int = 90) -> ApiKey:
    _, text = await table.create(CUSTOMER, display_name="till", expires_at=clock.now() + timedelta(days=days))
    key = ApiKey.parse(text)
    assert key is not None
    return key


async def test_a_new_key_opens_its_customers_door(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock)
    principal = await table.verify(key)
    assert principal is not None
    assert (principal.kind, principal.customer_id, principal.key_id) == (Kind.CUSTOMER, CUSTOMER, key.key_id)


async def test_a_key_with_the_staff_scope_is_staff(table: ApiKeyTable, clock: ManualClock) -> None:
    expires_at = clock.now() + timedelta(days=1)
    _, text = await table.create(CUSTOMER, display_name="", expires_at=expires_at, scopes=["staff"])
    principal = await table.verify(ApiKey.parse(text) or ApiKey("", ""))
    assert principal is not None
    assert principal.kind is Kind.STAFF


async def test_a_wrong_secret_and_an_unknown_id_open_nothing(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock)
    assert await table.verify(ApiKey(key.key_id, ApiKey.generate().secret)) is None
    assert await table.verify(ApiKey.generate()) is None
    assert await table.verify(key) is not None


async def test_an_expired_key_opens_nothing(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock, days=1)
    assert await table.verify(key) is not None
    await clock.advance(86_400)
    assert await table.verify(key) is None


async def test_a_revoked_key_is_dead_here_at_once_and_everywhere_within_five_seconds(
    table: ApiKeyTable, pool: Pool, clock: ManualClock
) -> None:
    elsewhere = ApiKeyTable(pool, clock)
    key = await _made(table, clock)
    assert await elsewhere.verify(key) is not None
    assert await table.revoke(CUSTOMER, key.key_id) is not None
    assert await table.verify(key) is None
    await clock.advance(TRUST_SECONDS)
    assert await elsewhere.verify(key) is None


async def test_the_first_revocation_counts(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock)
    first = await table.revoke(CUSTOMER, key.key_id)
    await clock.advance(10)
    second = await table.revoke(CUSTOMER, key.key_id)
    assert first == second
    assert first is not None


async def test_nobody_revokes_another_customers_key(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock)
    assert await table.revoke(uuid4(), key.key_id) is None
    assert await table.verify(key) is not None


async def test_keys_are_listed_newest_first(table: ApiKeyTable, clock: ManualClock) -> None:
    made: list[str] = []
    for _ in range(3):
        made.append((await _made(table, clock)).key_id)
        await clock.advance(1)
    assert [each.key_id for each in await table.list(CUSTOMER)] == made[::-1]
    assert await table.list(uuid4()) == []


async def test_the_last_use_is_noted_once_a_minute(table: ApiKeyTable, clock: ManualClock) -> None:
    key = await _made(table, clock)
    first_use = clock.now()
    for seconds in (0, 10, 10):
        await clock.advance(seconds)
        await table.verify(key)
    assert (await table.list(CUSTOMER))[0].last_used_at == first_use
    await clock.advance(60)
    await table.verify(key)
    assert (await table.list(CUSTOMER))[0].last_used_at == clock.now()


async def test_a_dump_of_the_table_holds_no_secret(
    table: ApiKeyTable, pool: Pool, clock: ManualClock
) -> None:
    key = await _made(table, clock)
    async with pool.connection() as connection:
        rows = await connection.execute("select k::text from runtime.api_key k")
        dump = str(await rows.fetchall())
    assert key.key_id in dump
    assert key.secret not in dump
    assert key.secret.encode().hex() not in dump


async def test_a_guess_asks_the_database_once(table: ApiKeyTable, pool: Pool, clock: ManualClock) -> None:
    guess = ApiKey.generate()
    assert await table.verify(guess) is None
    await pool.close()
    assert await table.verify(guess) is None
    await clock.advance(TRUST_SECONDS)
    with pytest.raises(StoreDown):
        await table.verify(guess)


async def test_a_database_that_is_not_there_is_trouble() -> None:
    with pytest.raises(StoreDown):
        async with open_pool("postgresql://nobody@127.0.0.1:1/none", role=None, application_name="test"):
            pass


async def test_a_lent_connection_keeps_nothing_of_its_last_borrower(tables_url: str) -> None:
    async with open_pool(tables_url, role=None, application_name="test", size_max=1) as pool:
        async with pool.connection() as connection:
            await connection.execute("set statement_timeout = '1h'")
            await connection.execute("set role pg_read_all_data")
        async with pool.connection() as connection:
            rows = await connection.execute(
                "select current_setting('statement_timeout'), current_user = session_user"
            )
            assert await rows.fetchone() == ("15s", True)


def test_a_key_has_one_form() -> None:
    key = ApiKey.generate()
    assert ApiKey.parse(key.text()) == key
    assert len(key.text()) == 4 + 8 + 1 + 43
    assert key.secret not in repr(key)
    for wrong in ("", key.text()[:-1], key.text() + "x", key.text().replace("dbk", "key"), key.text() + "\n"):
        assert ApiKey.parse(wrong) is None
