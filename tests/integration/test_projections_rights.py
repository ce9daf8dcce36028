"""No superuser is needed to rebuild, compare and swap: an ordinary owner of the database does."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

import eventstore.migrate
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.as_of import read_model_as_of
from eventstore.rebuild.difference import compare
from eventstore.rebuild.read_model import ReadModel
from eventstore.rebuild.rebuild import rebuild
from eventstore.rebuild.swap import drop_retired, swap, swap_back
from services.projections.migration import migrate
from services.projections.registry import registered
from services.runtime.config import Environment, TimingConfig
from stack.postgres import EmbeddedPostgres
from tests.doubles.random_history import happen, random_history
from tests.fix_postgres import postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def run(url: str, *statements: bytes) -> None:
    """Run statements."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement)


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    """Give the owner's migrated database in a cluster of its own."""
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as cluster:
        await run(
            cluster.conninfo(),
            b"create role owner login createrole",
            b"create role service login",
            b"create database ledger owner owner",
        )
        owned = make_conninfo(cluster.conninfo("ledger"), user="owner")
        await eventstore.migrate.migrate(owned)
        await migrate(owned)
        yield owned


async def test_an_ordinary_owner_does_all_of_it_and_a_service_nothing(url: str) -> None:
    owned = registered(TimingConfig.read(Environment({})))["submissions"]
    async with PostgresEventStore.open(url) as store:
        await happen(store, random_history(Random(3), 5))  # noqa: S311 - a history, no secret
        follower = Projector(store, url, owned.projection, role=owned.role)
        async with asyncio.timeout(30), follower.running():
            await follower.wait_until(await store.head())
        model = ReadModel(store, url, owned.projection, owned.role)
        await rebuild(model)
        found = await compare(model)
        assert found.same
        assert found.tables[0].live_count > 5
        await swap(model)
        await swap_back(model)
        await drop_retired(model)
        async with read_model_as_of(model, {0: 30}) as connection:
            assert await (await connection.execute("select from submission")).fetchall()

        await run(url, b"grant bolt_intake to service")
        service = ReadModel(store, make_conninfo(url, user="service"), owned.projection, owned.role)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await rebuild(service)
