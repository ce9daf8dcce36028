"""A projection that writes a row per event, in the order of applying, and fails where a test wants it to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest_asyncio

from eventstore.following.failing import FailurePolicy, Retries
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Filter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

__all__ = ["Counting", "counted", "counting_ledger", "counting_url", "projecting", "run", "select", "until"]

FAST = Retries(attempts_max=2, first_seconds=0.01)


@dataclass
class Counting:
    """Writes the rows; a second row for the same position is refused by the table."""

    name: str = "counting"
    version: int = 1
    lanes: tuple[int, ...] = (LEDGER_LANE,)
    only: Filter = field(default_factory=Filter)
    bad: set[int] = field(default_factory=set[int])
    pages: list[int] = field(default_factory=list[int])

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write a row for each event, or fail at a bad one."""
        self.pages.append(len(page))
        for each in page:
            if each.position.number in self.bad:
                raise ValueError(f"cannot read {each.position.number}\nits content")
        await connection.execute(
            "insert into counted (lane, position, stream_id)"
            " select * from unnest(%s::int[], %s::bigint[], %s::uuid[])",
            [
                [each.position.lane for each in page],
                [each.position.number for each in page],
                [each.stream_id for each in page],
            ],
        )

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Delete the rows."""
        await connection.execute("delete from counted")


@pytest_asyncio.fixture
async def counting_url(database_url: str) -> str:
    """Give a database with the table."""
    await run(
        database_url,
        "create table counted (lane int, position bigint, stream_id uuid, turn bigserial,"
        " primary key (lane, position))",
    )
    return database_url


@pytest_asyncio.fixture
async def counting_ledger(counting_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give an empty store."""
    async with PostgresEventStore.open(counting_url) as store:
        yield store


@asynccontextmanager
async def projecting(
    ledger: PostgresEventStore,
    url: str,
    projection: Counting | None = None,
    *,
    policy: FailurePolicy = FailurePolicy.PAUSE,
    partitions: int = 1,
    release: str = "",
    page_max: int = 100,
) -> AsyncGenerator[Projector]:
    """Run a projector with short times."""
    projector = Projector(
        ledger,
        url,
        projection or Counting(),
        poll_seconds=0.1,
        policy=policy,
        partitions=partitions,
        retries=FAST,
        release=release,
        page_max=page_max,
    )
    async with asyncio.timeout(30), projector.running():
        yield projector


async def run(url: str, statement: LiteralString, *values: object) -> int:
    """Run a statement and return how many rows it touched."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return (await connection.execute(statement, values or None)).rowcount


async def select(url: str, query: LiteralString, *values: object) -> Sequence[tuple[Any, ...]]:
    """Return a query's rows."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(query, values or None)).fetchall()


async def until(url: str, query: LiteralString, *values: object) -> None:
    """Return when a query's only value is true; the test's time limit ends it otherwise."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(query, values or None)
            if (await cursor.fetchone()) == (True,):
                return
            await asyncio.sleep(0.01)


async def counted(url: str) -> list[int]:
    """Return the ledger's positions that were counted, in order; per stream they were applied in order."""
    late = await select(
        url,
        "select position from ("
        " select position, lag(position) over (partition by stream_id, lane order by turn) as before"
        " from counted) as applied where before > position",
    )
    assert late == []
    found = await select(url, "select position from counted where lane = 0 order by position")
    return [position for (position,) in found]
