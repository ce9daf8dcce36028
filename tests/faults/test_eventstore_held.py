"""What the order of positions survives: a commit that is held up, and a clock that goes back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from eventstore.audit.verify import verify
from eventstore.following.subscription import Subscription
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, PULSE_LANE, NewEvent, StreamAppend
from tests.fix_events import TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

pytest_plugins = ["tests.fix_postgres"]

#: Whoever inserts an event of the actor `held` waits for a lock that the test holds.
HOLD_UP = """
create function public.hold_up() returns trigger language plpgsql as $$
begin
  if new.actor = 'held' then perform pg_advisory_xact_lock(4711); end if;
  return new;
end $$;
create trigger hold_up before insert on es.event_from_1 for each row execute function public.hold_up();
"""
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
AHEAD = """
update es.event_from_1 e set recorded_at = %(ahead)s, hash = sha256(p.hash || es.leaf_v1(
  e.position, e.lane, %(ahead)s, e.event_id, e.stream_id, e.version, e.schema_version, e.tenant,
  e.correlation_id, e.causation_id, c.name, t.name, e.trace_parent, e.actor, e.payload))
from es.event_from_1 p, es.category c, es.event_type t
where e.position = 2 and p.position = 1 and c.id = e.category and t.id = e.event_type
"""


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


def held() -> StreamAppend:
    """Return an append that the trigger holds up."""
    return StreamAppend(uuid4(), "job", TENANT, [NewEvent("test.v1.Held", b"", actor="held")])


async def until_waiting(connection: psycopg.AsyncConnection, count: int) -> None:
    """Return when so many sessions wait for an advisory lock."""
    while True:
        cursor = await connection.execute(WAITING.encode())
        row = await cursor.fetchone()
        if row is not None and row[0] >= count:
            return
        await asyncio.sleep(0.01)


async def follow(store: PostgresEventStore, seen: list[UUID], wanted: int) -> None:
    """Read on until so many events were seen; a hole raises."""
    subscription = Subscription(store, [LEDGER_LANE])
    while len(seen) < wanted:
        page = await subscription.next_page()
        if page is None:
            await subscription.wait_for_news(0.05)
            continue
        seen.extend(each.event_id for each in page.events)
        subscription.move(page)


async def test_a_row_that_is_held_invisible_is_skipped_by_no_reader(database_url: str) -> None:
    seen: list[UUID] = []
    slow = held()
    async with (
        asyncio.timeout(30),
        PostgresEventStore.open(database_url) as first,
        PostgresEventStore.open(database_url) as second,
        session(database_url) as holder,
    ):
        await first.append(append_to(count=2))
        await holder.execute(HOLD_UP.encode())
        following = asyncio.create_task(follow(second, seen, 8))
        async with holder.transaction():
            await holder.execute("select pg_advisory_xact_lock(4711)")
            held_up = asyncio.create_task(first.append(slow))
            await until_waiting(holder, 1)
            later = [asyncio.create_task(second.append(append_to())) for _ in range(5)]
            await until_waiting(holder, 2)
            assert (await second.head()).number == 2
            assert not any(each.done() for each in later)
        answers = await asyncio.gather(held_up, *later)
        await following

    assert seen[2] == slow.events[0].event_id
    assert [each.position.number for each in answers] == list(range(3, 9))


@pytest.mark.parametrize("lane", [LEDGER_LANE, PULSE_LANE])
async def test_a_clock_that_goes_back_does_not_turn_recorded_time_back(database_url: str, lane: int) -> None:
    stream_id = uuid4()
    async with PostgresEventStore.open(database_url) as store, session(database_url) as damaging:

        async def add() -> None:
            if lane == LEDGER_LANE:
                await store.append(append_to(stream_id))
            else:
                await store.append_pulse(stream_id, "worker", TENANT, event())

        await add()
        await add()
        ahead = (await read_everything(store, lane))[-1].recorded_at + timedelta(hours=1)
        if lane == LEDGER_LANE:
            await damaging.execute("alter table es.event_from_1 disable trigger append_only")
            await damaging.execute(AHEAD.encode(), {"ahead": ahead})
        else:
            await damaging.execute("alter table es.pulse_from_1 disable trigger append_only")
            await damaging.execute("update es.pulse_from_1 set recorded_at = %s where position = 2", [ahead])
        await add()
        await add()

        times = [each.recorded_at for each in await read_everything(store, lane)]
        assert times[1:] == [ahead, ahead, ahead]
        assert times[0] < ahead
        if lane == LEDGER_LANE:
            assert (await verify(store)).defect is None
