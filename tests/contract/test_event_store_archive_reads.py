"""Whatever is archived, brought back and archived again: every read is the read before."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.restore import Restorer
from eventstore.audit.verify import verify
from eventstore.connections import READ_ROLE, connect
from eventstore.following.subscription import Subscription
from eventstore.lanes import lane_of
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import Filter, NewEvent, Partitions, Position, StreamAppend
from tests.fix_events import read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.store import EventStore
    from eventstore.types import AsOf, StoredEvent
    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres"]

LANES = 2
PARTITION_SIZE = 100
TENANTS = [UUID(int=number) for number in range(1, 7)]
CATEGORIES = ["job", "submission", "profile"]
NOW = timedelta()
A_DAY = timedelta(days=1)


@dataclass
class Place:
    """A store, its database, its archive, and what was appended to it."""

    store: PostgresEventStore
    url: str
    storage: FolderStorage
    streams: Sequence[UUID]
    logs: Sequence[Sequence[StoredEvent]]

    async def partitions(self) -> Sequence[PartitionInfo]:
        """Return the ledger's partitions."""
        connection = await connect(self.url, READ_ROLE, "test")
        async with connection:
            return [each for each in await list_partitions(connection, NOW) if each.log == "event"]

    async def archive(self, partitions_max: int) -> int:
        """Archive so many of the oldest partitions that are due."""
        archiver = Archiver(self.store, self.url, self.storage)
        due = (await archiver.due(NOW))[:partitions_max]
        for each in due:
            await archiver.archive(each)
        return len(due)

    async def restore(self, hold: timedelta) -> None:
        """Bring the newest archived partition back."""
        archived = [each for each in await self.partitions() if each.state == "archived"]
        await Restorer(self.store, self.url).restore(archived[-1], hold)


def new_event(chance: random.Random) -> NewEvent:
    """Return an event in which anything may be anything."""
    return NewEvent(
        chance.choice(["a.Happened", "b.Happened", "c.Ignored"]),
        chance.randbytes(chance.choice([0, 1, 20, 300])),
        schema_version=chance.randint(1, 3),
        correlation_id=uuid4() if chance.random() < 0.5 else None,
        causation_id=uuid4() if chance.random() < 0.5 else None,
        trace_parent=chance.choice(["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
        actor=chance.choice(["", "staff:Zoë", "'; drop table es.event"]),
        ignorable=chance.random() < 0.5,
    )


async def fill(store: EventStore, chance: random.Random) -> Sequence[UUID]:
    """Append events of several tenants to young and old streams, until each lane has crossed six ends."""
    streams = {uuid4(): (chance.choice(TENANTS), chance.choice(CATEGORIES)) for _ in range(60)}
    while any([(await store.head(lane)).number < 6.5 * PARTITION_SIZE for lane in range(LANES)]):
        some = chance.sample(sorted(streams), 10)
        await asyncio.gather(
            *(
                store.append(
                    StreamAppend(
                        each, streams[each][1], streams[each][0], [new_event(chance) for _ in range(4)]
                    )
                )
                for each in some
            )
        )
    return list(streams)


@asynccontextmanager
async def filled(postgres: EmbeddedPostgres, folder: Path) -> AsyncGenerator[Place]:
    """Give a store of two lanes and small partitions, with events in it."""
    name = f"archived_{uuid4().hex[:8]}"
    url = await postgres.create_database(name)
    await migrate(
        url,
        settings={
            "lanes": str(LANES),
            "event_partition_size": str(PARTITION_SIZE),
            "pulse_partition_size": "1000",
        },
    )
    storage = FolderStorage(folder)
    async with PostgresEventStore.open(url, cold=storage) as store:
        streams = await fill(store, random.Random(7))  # noqa: S311  # the same events each time
        logs = [await read_everything(store, lane) for lane in range(LANES)]
        yield Place(store, url, storage, streams, logs)
    await postgres.drop_database(name)


@pytest_asyncio.fixture
async def place(postgres_cluster: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Place]:
    """Give such a store."""
    async with filled(postgres_cluster, tmp_path / "cold") as made:
        yield made


async def everything(store: EventStore, lane: int, limit: int, only: Filter) -> Sequence[StoredEvent]:
    """Return what a filter lets through, read page by page."""
    found: list[StoredEvent] = []
    after = Position(lane, 0)
    while (page := await store.read_all(after, limit=limit, only=only)).scanned != after:
        found += page.events
        after = page.scanned
    return found


filters = st.builds(
    Filter,
    categories=st.frozensets(st.sampled_from([*CATEGORIES, "none"]), max_size=2),
    event_types=st.frozensets(st.sampled_from(["a.Happened", "c.Ignored", "none"]), max_size=2),
    tenant=st.sampled_from([None, *TENANTS]),
    partitions=st.one_of(
        st.none(),
        st.builds(Partitions, st.just(4), st.frozensets(st.integers(0, 3), min_size=1)),
    ),
)


async def check_pages(place: Place, chance: random.Random, only: Filter) -> None:
    """Read pages from anywhere, and the whole, and compare with what was there before."""
    for lane, log in enumerate(place.logs):
        after, limit = chance.randint(0, len(log)), chance.randint(1, 400)
        page = await place.store.read_all(Position(lane, after), limit=limit)
        assert list(page.events) == list(log[after : after + limit])
        assert page.scanned == Position(lane, min(len(log), after + limit))
        wanted = [each for each in log if only.wants(each)]
        assert await everything(place.store, lane, limit, only) == wanted


async def check_streams(place: Place, chance: random.Random) -> None:
    """Read streams from any version, as anybody, as of any moment, and compare."""
    for stream_id in chance.sample(list(place.streams), 8):
        history = [each for log in place.logs for each in log if each.stream_id == stream_id]
        if not history:
            continue
        from_version, limit = chance.randint(0, len(history) + 2), chance.randint(1, 60)
        moment = chance.choice(history)
        some: Sequence[AsOf] = (None, moment.position, moment.recorded_at)
        as_of = chance.choice(some)
        tenant = chance.choice([None, history[0].tenant, uuid4()])
        expected = [
            each
            for each in history
            if each.version >= from_version
            and (as_of is None or each.recorded_at <= moment.recorded_at)
            and (as_of != moment.position or each.position.number <= moment.position.number)
            and tenant in (None, each.tenant)
        ][:limit]
        read = await place.store.read_stream(
            stream_id, from_version=from_version, limit=limit, tenant=tenant, as_of=as_of
        )
        assert list(read) == expected


@pytest.mark.parametrize("history", ["111111", "231", "4", "3r2", "6rrr3", "2R"])
def test_every_read_is_the_read_before(
    postgres_cluster: EmbeddedPostgres, tmp_path: Path, history: str
) -> None:
    with asyncio.Runner() as runner:
        opened = filled(postgres_cluster, tmp_path / "cold")
        place = runner.run(opened.__aenter__())

        @settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(seed=st.integers(0, 1_000_000), only=filters)
        def _compare(seed: int, only: Filter) -> None:
            chance = random.Random(seed)  # noqa: S311  # what failed can be drawn again
            runner.run(check_pages(place, chance, only))
            runner.run(check_streams(place, chance))

        try:
            for act in history:
                if act in "rR":
                    runner.run(place.restore(A_DAY if act == "R" else NOW))
                else:
                    runner.run(place.archive(int(act)))
                _compare()
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def test_the_chain_is_verified_through_hot_and_cold(place: Place) -> None:
    assert await place.archive(4) == 4

    for lane, log in enumerate(place.logs):
        verdict = await verify(place.store, lane)
        assert (verdict.defect, verdict.events_count) == (None, len(log))


async def test_a_subscription_from_the_beginning_reads_through_both(place: Place) -> None:
    await place.archive(3)
    subscription = Subscription(place.store, range(LANES))
    found: list[StoredEvent] = []

    while (page := await subscription.next_page()) is not None:
        found += page.events
        subscription.move(page)

    assert sorted(found, key=lambda each: (each.position.lane, each.position.number)) == [
        each for log in place.logs for each in log
    ]


async def test_a_partition_that_one_lane_still_writes_to_stays(place: Place) -> None:
    ends = [len(log) for log in place.logs]
    slow = ends.index(min(ends))
    fast_tenant = next(each for each in TENANTS if lane_of(each, LANES) != slow)
    full = await place.archive(99)

    assert full == (min(ends) - 1) // PARTITION_SIZE
    states = [each.state for each in await place.partitions()]
    assert states[:full] == ["archived"] * full
    for _ in range(3):
        events = [NewEvent("a.Happened", b"") for _ in range(100)]
        await place.store.append(StreamAppend(uuid4(), "job", fast_tenant, events))
    assert await place.archive(99) == 0


async def test_a_restored_partition_is_held_and_then_let_go(place: Place) -> None:
    await place.archive(3)
    names = await place.storage.names("")
    await place.restore(A_DAY)

    assert [each.state for each in await place.partitions()][:4] == [
        "archived",
        "archived",
        "restored",
        "archivable",
    ]
    assert await place.archive(99) == 0
    connection = await connect(place.url, None, "test")
    async with connection:
        await connection.execute("update es.archive set hold_until = now() where hold_until is not null")
    assert await place.archive(1) == 1
    assert await place.storage.names("") == names
    assert [each.state for each in await place.partitions()][:3] == ["archived"] * 3
