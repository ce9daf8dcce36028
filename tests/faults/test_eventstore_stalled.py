"""A database that holds still: the queue is bounded, nobody waits for ever, and nothing is written twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from eventstore.audit.verify_log import verify_log
from eventstore.errors import AppendQueueFull, StoreUnavailable
from eventstore.postgres import PostgresEventStore
from eventstore.types import Appended
from tests.fix_events import append_to, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytest_plugins = ["tests.fix_postgres"]

CALLERS: Final = 256
QUEUE_MAX: Final = 200
PATIENCE_SECONDS: Final = 0.5


@asynccontextmanager
async def standing_still(url: str) -> AsyncGenerator[None]:
    """Hold the lane's lock, as a very long append would."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(x'6573'::int, 0)")
        yield


async def test_callers_of_a_stalled_database_are_told_in_time_and_may_send_again(database_url: str) -> None:
    sent = [append_to() for _ in range(CALLERS)]
    async with PostgresEventStore.open(
        database_url, queue_max=QUEUE_MAX, patience_seconds=PATIENCE_SECONDS
    ) as store:
        first = await store.append(append_to())
        async with standing_still(database_url), asyncio.timeout(PATIENCE_SECONDS + 5):
            answers = await asyncio.gather(*(store.append(each) for each in sent), return_exceptions=True)

        kinds = [type(each) for each in answers]
        # The first of them was sent at once, and waits in no queue.
        assert kinds.count(AppendQueueFull) == CALLERS - QUEUE_MAX - 1
        assert kinds.count(StoreUnavailable) == QUEUE_MAX + 1

        async with asyncio.timeout(20), PostgresEventStore.open(database_url) as other:
            again = await asyncio.gather(*(other.append(each) for each in sent))
            assert all(isinstance(each, Appended) for each in again)
            events = await read_everything(other)

    assert first.position.number == 1
    assert sorted(each.event_id for each in events[1:]) == sorted(each.events[0].event_id for each in sent)
    assert not (await verify_log(database_url)).findings


async def test_appends_go_on_as_soon_as_the_database_does(database_url: str) -> None:
    async with asyncio.timeout(30), PostgresEventStore.open(database_url) as store:
        await store.append(append_to())
        async with standing_still(database_url):
            waiting = [asyncio.create_task(store.append(append_to())) for _ in range(CALLERS)]
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                while not await _waiters(connection):
                    pass
        answers = await asyncio.gather(*waiting)

        assert sorted(each.position.number for each in answers) == list(range(2, CALLERS + 2))


async def _waiters(connection: psycopg.AsyncConnection) -> bool:
    cursor = await connection.execute("select exists (select from pg_locks where not granted)")
    return (await cursor.fetchone()) == (True,)
