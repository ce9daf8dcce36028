"""What a consumer promises its handler: every event, in order per stream, side by side, and none lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from eventstore.connections import PROJECT_ROLE, connect
from eventstore.errors import PassingTrouble
from eventstore.following import parked
from eventstore.following.consumer import Consumer
from eventstore.following.failing import FailurePolicy, Retries
from eventstore.following.partitions import Holding
from eventstore.types import Filter, Position
from tests.fix_counting import counting_ledger, counting_url, run, select, until
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from eventstore.postgres import PostgresEventStore
    from eventstore.types import StoredEvent

__all__ = ["counting_ledger", "counting_url"]

pytest_plugins = ["tests.fix_postgres"]


@dataclass
class Outbox:
    """Takes note of what it was handed, and does as a test wants."""

    seen: list[StoredEvent] = field(default_factory=list["StoredEvent"])
    batches: list[int] = field(default_factory=list[int])
    bad: set[int] = field(default_factory=set[int])
    away: int = 0
    gate: asyncio.Event | None = None
    inside: set[UUID] = field(default_factory=set[UUID])
    inside_max: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, events: Sequence[StoredEvent]) -> None:
        """Take some events."""
        streams = {each.stream_id for each in events}
        assert not streams & self.inside
        self.inside |= streams
        self.inside_max = max(self.inside_max, len(self.inside))
        self.news.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.away:
                self.away -= 1
                raise PassingTrouble
            if self.bad & {each.position.number for each in events}:
                raise ValueError("no")
            self.batches.append(len(events))
            self.seen += events
        finally:
            self.inside -= streams
            self.left.set()

    def positions(self) -> list[int]:
        """Return all that was taken, in order of the log; in each stream it came in order."""
        by_stream = defaultdict[UUID, list[int]](list)
        for each in self.seen:
            by_stream[each.stream_id].append(each.version)
        assert all(versions == sorted(versions) for versions in by_stream.values())
        return sorted(each.position.number for each in self.seen)


@asynccontextmanager
async def consuming(
    ledger: PostgresEventStore, url: str, outbox: Outbox, **changes: Any
) -> AsyncGenerator[Consumer]:
    """Run a consumer with short times."""
    wanted: dict[str, Any] = {"partitions": 8, "poll_seconds": 0.1, "retries": Retries(2, 0.01), **changes}
    consumer = Consumer(ledger, url, "mail", outbox, **wanted)
    async with asyncio.timeout(30), consumer.running():
        yield consumer


async def streams(ledger: PostgresEventStore, count: int, rounds: int = 3) -> Sequence[UUID]:
    """Append two events to each of some streams, several times."""
    stream_ids = [uuid4() for _ in range(count)]
    for _ in range(rounds):
        for each in stream_ids:
            await ledger.append(append_to(each, 2))
    return stream_ids


async def test_every_event_comes_once_and_in_order_per_stream(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await streams(counting_ledger, 20)
    outbox = Outbox()
    async with consuming(counting_ledger, counting_url, outbox) as consumer:
        await consumer.wait_until(Position(0, 120), 20)
    assert outbox.positions() == list(range(1, 121))
    assert set(outbox.batches) == {1}


async def test_partitions_are_handled_side_by_side_and_in_batches(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = await streams(counting_ledger, 20)
    outbox = Outbox(gate=asyncio.Event())
    partitions = {each.int % 8 for each in stream_ids}
    async with consuming(counting_ledger, counting_url, outbox, batch_max=4) as consumer:
        while outbox.inside_max < len(partitions):
            await outbox.news.wait()
            outbox.news.clear()
        assert outbox.gate is not None
        outbox.gate.set()
        await consumer.wait_until(Position(0, 120), 20)
    assert outbox.positions() == list(range(1, 121))
    assert max(outbox.batches) == 4


async def test_a_consumer_goes_on_where_it_was(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    for number in (1, 2):
        await streams(counting_ledger, 5)
        outbox = Outbox()
        async with consuming(counting_ledger, counting_url, outbox) as consumer:
            await consumer.wait_until(Position(0, number * 30), 20)
        assert outbox.positions() == list(range(number * 30 - 29, number * 30 + 1))


async def test_the_checkpoint_stays_before_what_is_not_done(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stuck, others = uuid4(), uuid4()
    while others.int % 8 == stuck.int % 8:
        others = uuid4()
    await counting_ledger.append(append_to(others, 3))
    await counting_ledger.append(append_to(stuck, 1))
    await counting_ledger.append(append_to(others, 3))
    held = asyncio.Event()

    class HoldsOne(Outbox):
        async def __call__(self, events: Sequence[StoredEvent]) -> None:
            if events[0].stream_id == stuck:
                await held.wait()
            await super().__call__(events)

    outbox = HoldsOne()
    async with consuming(counting_ledger, counting_url, outbox) as consumer:
        await consumer.wait_until(Position(0, 7), 10, stream_id=others)
        with pytest.raises(TimeoutError):
            await consumer.wait_until(Position(0, 4), 0.3, stream_id=stuck)
        [(checkpoint,)] = await select(
            counting_url,
            "select (positions ->> '0')::int from es.projection where partition = %s",
            stuck.int % 8,
        )
        assert checkpoint == 3
        held.set()
        await consumer.wait_until(Position(0, 7), 10)


async def test_what_the_handler_needs_may_be_away_for_long(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await streams(counting_ledger, 1, rounds=1)
    outbox = Outbox(away=6)
    async with consuming(counting_ledger, counting_url, outbox) as consumer:
        await consumer.wait_until(Position(0, 2), 20)
    assert outbox.positions() == [1, 2]


async def test_a_bad_event_pauses_its_partition_alone(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = await streams(counting_ledger, 12)
    outbox = Outbox(bad={25})
    others = [each for each in stream_ids if each.int % 8 != stream_ids[0].int % 8]
    async with consuming(counting_ledger, counting_url, outbox) as consumer:
        for each in others:
            await consumer.wait_until(Position(0, 72), 20, stream_id=each)
        await until(
            counting_url, "select failed_position = 25 from es.projection where paused_at is not null"
        )
    assert set(range(1, 73)) - set(outbox.positions()) >= {25, 26, 49, 50}


async def test_parked_events_are_handled_again_in_order(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await streams(counting_ledger, 6)
    outbox = Outbox(bad={13})
    async with consuming(counting_ledger, counting_url, outbox, policy=FailurePolicy.PARK) as consumer:
        await consumer.wait_until(Position(0, 36), 20)
        assert set(range(1, 37)) - set(outbox.positions()) == {13, 14, 25, 26}
        outbox.bad.clear()
        async with await connect(counting_url, PROJECT_ROLE, "ask") as connection:
            assert await parked.ask(connection, "replay", "mail") == 1
        await until(counting_url, "select count(*) = 0 from es.parked")
        appended = await counting_ledger.append(append_to(outbox.seen[0].stream_id))
        await consumer.wait_until(appended.position, 10)
    assert outbox.positions() == list(range(1, 38))


async def test_few_events_wait_while_the_handler_is_slow(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(count=400))
    outbox = Outbox(gate=asyncio.Event())
    async with consuming(counting_ledger, counting_url, outbox, waiting_max=50) as consumer:
        await outbox.news.wait()
        assert outbox.gate is not None
        outbox.gate.set()
        await consumer.wait_until(Position(0, 400), 20)
    assert outbox.positions() == list(range(1, 401))


async def test_two_share_the_work_and_nothing_is_handled_twice_when_one_joins_and_leaves(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = await streams(counting_ledger, 30)
    outbox = Outbox()
    async with consuming(counting_ledger, counting_url, outbox, batch_max=3):
        async with consuming(counting_ledger, counting_url, outbox, batch_max=3):
            await until(counting_url, "select count(distinct holder) = 2 from es.projection")
            for each in stream_ids:
                await counting_ledger.append(append_to(each, 2))
        for each in stream_ids:
            await counting_ledger.append(append_to(each, 2))
        async with consuming(counting_ledger, counting_url, outbox) as third:
            await third.wait_until(Position(0, 300), 20)
    assert outbox.positions() == list(range(1, 301))


async def test_what_was_put_back_for_one_who_left_again_is_handled_after_all(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(UUID(int=0), 5), append_to(UUID(int=1), 5))
    outbox = Outbox(gate=asyncio.Event())
    async with (
        consuming(counting_ledger, counting_url, outbox, partitions=2) as consumer,
        await connect(counting_url, None, "guest") as connection,
    ):
        await outbox.news.wait()
        guest = Holding("mail", 1, 2, holder="guest", lease_seconds=60)
        await guest.share(connection)
        await until(
            counting_url,
            "select count(*) = 1 from pg_stat_activity where application_name = 'eventstore consume mail'"
            " and query_start > (select joined_at + interval '0.3 seconds' from es.projection_member"
            " where holder = 'guest')",
        )
        await guest.leave(connection)
        assert outbox.gate is not None
        outbox.gate.set()
        await consumer.wait_until(Position(0, 10), 10)
    assert outbox.positions() == list(range(1, 11))


async def test_what_a_taken_partition_was_doing_is_broken_off(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await streams(counting_ledger, 1, rounds=1)
    outbox = Outbox(gate=asyncio.Event())
    async with consuming(counting_ledger, counting_url, outbox, partitions=1) as consumer:
        await outbox.news.wait()
        await run(counting_url, "update es.projection set epoch = epoch + 1, holder = 'thief'")
        await outbox.left.wait()
        assert outbox.seen == []
        assert outbox.gate is not None
        outbox.gate.set()
        await run(counting_url, "update es.projection set epoch = epoch + 1, holder = null")
        await consumer.wait_until(Position(0, 2), 10)
    assert outbox.positions() == [1, 2]


async def test_only_what_is_wanted_is_handed_over(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(category="job"), append_to(count=3, category="profile"))
    outbox = Outbox()
    only = Filter(categories=frozenset({"job"}))
    async with consuming(counting_ledger, counting_url, outbox, only=only) as consumer:
        await consumer.wait_until(Position(0, 4), 10)
    assert outbox.positions() == [1]
