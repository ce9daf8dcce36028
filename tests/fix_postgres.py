"""A real Postgres for tests: one cluster per run, and for each test a database cloned from a migrated one.

TEST_POSTGRES_BINARIES names another Postgres than the newest found. What a test of this cluster writes need
not survive a crash (fsync is off); tests that crash it start their own.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import Runner
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio

from eventstore.memory import MemoryEventStore
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from stack.postgres import EmbeddedPostgres
from tests.cloned_database import TEMPLATE, cloned_database
from tests.fix_events import wall_time
from tests.fix_gateway import through_a_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from eventstore.store import EventStore

#: Small enough that a test crosses a partition's end.
EVENT_PARTITION_SIZE = 1_000
#: Nothing waits for a disk.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
SETTINGS = {"event_partition_size": str(EVENT_PARTITION_SIZE), "pulse_partition_size": "1000"}


def postgres_binaries() -> Path | None:
    """Return where the tests' Postgres is, when somebody said so."""
    named = os.environ.get("TEST_POSTGRES_BINARIES")
    return Path(named) if named else None


@contextmanager
def _started() -> Generator[EmbeddedPostgres]:
    with Runner() as runner:
        postgres = EmbeddedPostgres.throwaway(binaries=postgres_binaries(), settings=FORGETFUL)
        runner.run(postgres.start())
        try:
            runner.run(_prepare(postgres))
            yield postgres
        finally:
            runner.run(postgres.stop())


async def _prepare(postgres: EmbeddedPostgres) -> None:
    await migrate(await postgres.create_database(TEMPLATE), settings=SETTINGS)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[EmbeddedPostgres]:
    """Run a cluster with the migrated template database."""
    with _started() as postgres:
        yield postgres


@pytest_asyncio.fixture
async def database_url(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """Give an event store's database that no other test has."""
    async with cloned_database(postgres_cluster) as url:
        yield url


@pytest_asyncio.fixture(params=["memory", "postgres", "gateway"])
async def store(
    request: pytest.FixtureRequest, postgres_cluster: EmbeddedPostgres
) -> AsyncIterator[EventStore]:
    """Give an empty store of each kind, so that a promise is proven of both."""
    if request.param == "memory":
        yield MemoryEventStore(wall_time)
        return
    if request.param == "gateway":
        async with through_a_gateway(postgres_cluster) as opened:
            yield opened
        return
    async with cloned_database(postgres_cluster) as url, PostgresEventStore.open(url) as opened:
        yield opened


async def nobody_appends(url: str) -> None:
    """Return when no session of an appender is left: the server ends what a killed one asked for last."""
    query = "select count(*) from pg_stat_activity where application_name like 'eventstore append%'"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            if await (await connection.execute(query)).fetchone() == (0,):
                return
            await asyncio.sleep(0.01)
