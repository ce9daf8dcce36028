"""How processes share a projection's partitions: fairly, each held by one, whoever joins, dies or sleeps."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventstore.connections import connect
from eventstore.errors import LeaseLost
from eventstore.following.partitions import Holding
from eventstore.following.projection import ProjectionProgress
from eventstore.types import Filter, Partitions, Position, partition_of
from tests.cloned_database import cloned_database
from tests.fix_counting import (
    Counting,
    counted,
    counting_ledger,
    counting_url,
    projecting,
    run,
    select,
    until,
)
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from psycopg import AsyncConnection

    from eventstore.postgres import PostgresEventStore
    from eventstore.store import EventStore
    from stack.postgres import EmbeddedPostgres

__all__ = ["counting_ledger", "counting_url"]

pytest_plugins = ["tests.fix_postgres"]

PARTITIONS = 7
LONG = 3_600.0


@given(st.uuids(), st.integers(1, 512), st.integers(1, 2))
def test_more_partitions_by_a_multiple_split_each_one(stream_id: UUID, number: int, times: int) -> None:
    assert partition_of(stream_id, number * times) % number == partition_of(stream_id, number)


async def test_a_streams_partition_is_the_same_in_sql(database_url: str) -> None:
    stream_ids = [uuid4() for _ in range(200)]
    found = await select(
        database_url,
        "select id, n, es.partition_of_v1(id, n) from unnest(%s::uuid[]) as id, generate_series(1, 64) as n",
        stream_ids,
    )
    assert len(found) == 200 * 64
    assert all(partition == partition_of(stream_id, number) for stream_id, number, partition in found)


async def test_a_reader_gets_the_events_of_its_partitions(store: EventStore) -> None:
    stream_ids = [uuid4() for _ in range(40)]
    await store.append(*(append_to(each) for each in stream_ids))
    read: list[UUID] = []
    for chosen in ({0, 2}, {1}):
        only = Filter(partitions=Partitions(3, frozenset(chosen)))
        page = await store.read_all(Position(0, 0), only=only)
        assert page.scanned == Position(0, 40)
        assert {partition_of(each.stream_id, 3) for each in page.events} <= chosen
        read += [each.stream_id for each in page.events]
    assert sorted(read) == sorted(stream_ids)


@dataclass
class Member:
    """A process, as the leases see it."""

    connection: AsyncConnection
    holding: Holding


@dataclass
class Group:
    """Processes that share one projection, and what was committed under which epoch."""

    url: str
    stack: AsyncExitStack
    members: dict[int, Member] = field(default_factory=dict[int, Member])
    frozen: dict[int, Member] = field(default_factory=dict[int, Member])
    numbers: count[int] = field(default_factory=count)
    last: dict[int, int] = field(default_factory=dict[int, int])

    async def join(self, lease_seconds: float = LONG) -> Member:
        """Start a process."""
        number = next(self.numbers)
        connection = await connect(self.url, None, f"member {number}")
        self.stack.push_async_callback(connection.close)
        member = Member(
            connection,
            Holding("shared", 1, PARTITIONS, holder=f"m{number:03}", lease_seconds=lease_seconds),
        )
        self.members[number] = member
        await member.holding.share(connection)
        return member

    async def leave(self, number: int) -> None:
        """Stop a process in good order."""
        member = self.members.pop(number)
        await member.holding.leave(member.connection)
        await member.connection.close()

    async def die(self, number: int) -> None:
        """Kill a process: the server sees its socket close."""
        member = self.members.pop(number)
        pid = member.connection.info.backend_pid
        await member.connection.close()
        await until(self.url, "select count(*) = 0 from pg_stat_activity where pid = %s", pid)

    async def freeze(self, number: int) -> None:
        """Freeze a process for so long that its leases expire."""
        member = self.members.pop(number)
        self.frozen[number] = member
        holder = f"m{number:03}"
        await run(
            self.url,
            "update es.projection set expires_at = clock_timestamp() where holder = %s",
            holder,
        )
        await run(
            self.url,
            "update es.projection_member set expires_at = clock_timestamp() where holder = %s",
            holder,
        )

    async def thaw(self, number: int) -> None:
        """Wake a frozen process: it goes on with what it was doing, then looks around."""
        member = self.frozen.pop(number)
        before = dict(self.last)
        for partition in list(member.holding.held):
            await self.commit(member, partition)
        taken = {each for other in self.members.values() for each in other.holding.held}
        assert all(self.last.get(each) == before.get(each) for each in taken)
        self.members[number] = member
        await member.holding.share(member.connection)

    async def commit(self, member: Member, partition: int) -> None:
        """Do a page's work in a partition: it goes on where the last one who saved was, or is refused."""
        holding = member.holding
        held = holding.held[partition]
        was = held.positions.get(0, 0)
        moved = {partition: {0: was + 1}}
        try:
            async with member.connection.transaction():
                await holding.save(member.connection, moved)
        except LeaseLost:
            return
        holding.note(moved)
        assert was == self.last.get(partition, 0)
        self.last[partition] = was + 1

    async def jump(self) -> None:
        """Turn the database's clock forward: every lease is over at once, whoever lives."""
        await run(
            self.url,
            "update es.projection set expires_at = clock_timestamp() - interval '1 second'"
            " where holder is not null",
        )
        await run(
            self.url,
            "update es.projection_member set expires_at = clock_timestamp() - interval '1 second'",
        )

    async def share(self) -> None:
        """Let everybody look around once."""
        for member in self.members.values():
            await member.holding.share(member.connection)

    async def check(self) -> None:
        """Look that nobody holds what another holds, and that the database agrees with itself."""
        rows = await select(
            self.url, "select partition, epoch, holder, positions from es.projection order by partition"
        )
        assert [partition for partition, *_ in rows] in ([], list(range(PARTITIONS)))
        for partition, epoch, _, positions in rows:
            assert positions.get("0", 0) == self.last.get(partition, 0)
            holders = [
                each
                for each in self.members.values()
                if partition in each.holding.held and each.holding.held[partition].epoch == epoch
            ]
            assert len(holders) <= 1


@asynccontextmanager
async def group(url: str) -> AsyncGenerator[Group]:
    """Give an empty group."""
    async with AsyncExitStack() as stack:
        yield Group(url, stack)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "die", "freeze", "thaw", "jump", "commit", "commit", "share"]),
        st.integers(0, 999),
    ),
    min_size=5,
    max_size=40,
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Run many examples in one loop."""
    with asyncio.Runner() as one:
        yield one


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_no_partition_is_ever_moved_by_two(
    postgres_cluster: EmbeddedPostgres, runner: asyncio.Runner, steps: Sequence[tuple[str, int]]
) -> None:
    runner.run(_play(postgres_cluster, steps))


async def _play(cluster: EmbeddedPostgres, steps: Sequence[tuple[str, int]]) -> None:
    async with cloned_database(cluster) as url, group(url) as shared:
        for step, number in steps:
            await _do(shared, step, number)
            await shared.check()
        if not shared.members:
            await shared.join()
        # Who was thought dead joins; what is too much is given back; what is too little is taken.
        for _ in range(3):
            await shared.share()
        held = [len(each.holding.held) for each in shared.members.values()]
        assert sum(held) == PARTITIONS
        assert max(held) - min(held) <= 1
        for member in shared.members.values():
            for partition in member.holding.held:
                before = shared.last.get(partition, 0)
                await shared.commit(member, partition)
                assert shared.last[partition] == before + 1


async def _do(shared: Group, step: str, number: int) -> None:
    crowd = shared.frozen if step == "thaw" else shared.members
    if step == "join" and len(shared.members) < 5:
        await shared.join()
    if step == "jump":
        await shared.jump()
    if step in {"join", "jump"}:
        return
    if not crowd:
        return
    chosen = sorted(crowd)[number % len(crowd)]
    if step == "commit":
        member = shared.members[chosen]
        for partition in list(member.holding.held):
            await shared.commit(member, partition)
    elif step == "share":
        await shared.members[chosen].holding.share(shared.members[chosen].connection)
    else:
        await {"leave": shared.leave, "die": shared.die, "freeze": shared.freeze, "thaw": shared.thaw}[step](
            chosen
        )


async def test_a_killed_holders_partitions_are_taken_long_before_they_expire(database_url: str) -> None:
    async with group(database_url) as shared:
        first, second = await shared.join(LONG), await shared.join(LONG)
        assert (len(first.holding.held), second.holding.held) == (PARTITIONS, {})
        await shared.die(0)
        await second.holding.share(second.connection)
        assert len(second.holding.held) == PARTITIONS


async def test_a_frozen_holders_partitions_are_taken_when_they_expire(database_url: str) -> None:
    async with group(database_url) as shared:
        first, second = await shared.join(0.3), await shared.join(LONG)
        assert not await second.holding.share(second.connection)
        await until(database_url, "select bool_and(expires_at < clock_timestamp()) from es.projection")
        await second.holding.share(second.connection)
        assert len(second.holding.held) == PARTITIONS
        with pytest.raises(LeaseLost):
            await first.holding.save(first.connection, {0: {0: 1}})
        await first.holding.share(first.connection)
        assert first.holding.held == {}


async def test_a_new_connection_fences_off_what_the_old_one_had_under_way(database_url: str) -> None:
    async with group(database_url) as shared:
        member = await shared.join()
        async with member.connection.transaction():
            again = Holding("shared", 1, PARTITIONS, holder="m000", lease_seconds=LONG)
            async with await connect(database_url, None, "again") as connection:
                assert await again.share(connection)
                with pytest.raises(LeaseLost):
                    await member.holding.save(member.connection, {0: {0: 9}})
                await again.save(connection, {0: {0: 1}})
    assert await select(database_url, "select positions from es.projection where partition = 0") == [
        ({"0": 1},)
    ]


async def test_a_holder_of_an_older_release_is_not_taken_for_dead(database_url: str) -> None:
    async with await connect(database_url, None, "gone") as connection:
        await Holding("shared", 1, 1, holder="gone", lease_seconds=LONG).share(connection)
        await run(database_url, "update es.projection set holder = null, expires_at = null")
    async with await connect(database_url, None, "both") as connection:
        # The older one knows nothing of sessions, and leaves the row's as it was.
        await run(
            database_url,
            "update es.projection set holder = 'older', epoch = epoch + 1,"
            " expires_at = clock_timestamp() + interval '1 hour'",
        )
        newer = Holding("shared", 1, 1, holder="newer", lease_seconds=LONG)
        await newer.share(connection)
        assert newer.held == {}


@pytest.mark.parametrize(("before", "after"), [(1, 16), (4, 12)])
async def test_partitions_are_split_where_they_stand(database_url: str, before: int, after: int) -> None:
    async with await connect(database_url, None, "split") as connection:
        old = Holding("shared", 1, before, holder="old", lease_seconds=LONG)
        await old.share(connection)
        await old.save(connection, {number: {0: 100 + number} for number in range(before)})
        new = Holding("shared", 1, after, holder="new", lease_seconds=LONG)
        with pytest.raises(psycopg.errors.ObjectInUse):
            await new.share(connection)
        await old.leave(connection)
        await new.share(connection)
        assert {number: each.positions[0] for number, each in new.held.items()} == {
            number: 100 + number % before for number in range(after)
        }


async def test_partitions_are_joined_only_where_all_stand_together(database_url: str) -> None:
    async with await connect(database_url, None, "join") as connection:
        many = Holding("shared", 1, 4, holder="many", lease_seconds=LONG)
        await many.share(connection)
        await many.save(connection, {number: {0: 5} for number in range(3)})
        await many.leave(connection)
        one = Holding("shared", 1, 1, holder="one", lease_seconds=LONG)
        with pytest.raises(psycopg.errors.ObjectInUse, match="has 4 partitions, not 1"):
            await one.share(connection)
        await many.share(connection)
        await many.save(connection, {3: {0: 5}})
        await many.leave(connection)
        await one.share(connection)
        assert {number: each.positions for number, each in one.held.items()} == {0: {0: 5}}


async def test_a_split_projection_applies_every_event_once_and_in_order(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = [uuid4() for _ in range(30)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(projecting(counting_ledger, counting_url, partitions=16, page_max=7))
        for round_number in range(6):
            for each in stream_ids:
                await counting_ledger.append(append_to(each, 2))
            if round_number % 2 == 0:
                await stack.enter_async_context(
                    projecting(counting_ledger, counting_url, partitions=16, page_max=7)
                )
        last = await stack.enter_async_context(
            projecting(counting_ledger, counting_url, partitions=16, page_max=7)
        )
        await last.wait_until(Position(0, 360), 20)
        await until(
            counting_url,
            "select array_agg(n order by n) = '{3,3,3,3,4}' from ("
            " select count(*)::int as n from es.projection where holder is not null group by holder) as held",
        )
    assert await counted(counting_url) == list(range(1, 361))


async def test_the_log_is_read_once_for_all_partitions_that_are_level(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    for _ in range(5):
        await counting_ledger.append(*(append_to() for _ in range(40)))
    counting = Counting()
    async with projecting(counting_ledger, counting_url, counting, partitions=16, page_max=50) as projector:
        await projector.wait_until(Position(0, 200), 10)
    assert counting.pages == [50, 50, 50, 50]


async def test_a_partition_that_is_behind_catches_up_without_the_others(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = [uuid4() for _ in range(20)]
    await counting_ledger.append(*(append_to(each) for each in stream_ids))
    async with projecting(counting_ledger, counting_url, partitions=4) as projector:
        await projector.wait_until(Position(0, 20), 10)
    await run(counting_url, "update es.projection set positions = '{}' where partition = 2")
    behind = [number for number, each in enumerate(stream_ids, 1) if partition_of(each, 4) == 2]
    await run(counting_url, "delete from counted where position = any(%s)", behind)
    # What came meanwhile is for all of them, and begins where the others are.
    await counting_ledger.append(*(append_to(each) for each in stream_ids))
    counting = Counting()
    async with projecting(counting_ledger, counting_url, counting, partitions=4) as projector:
        await projector.wait_until(Position(0, 40), 10)
    assert counting.pages == [len(behind), 20]
    assert await counted(counting_url) == list(range(1, 41))


async def test_reading_ones_own_writes_waits_for_the_streams_partition_alone(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    slow, fast = UUID(int=0), UUID(int=1)
    async with projecting(counting_ledger, counting_url, partitions=2) as projector:
        appended = await counting_ledger.append(append_to(slow), append_to(fast))
        await projector.wait_until(appended.position, 10)
    progress = ProjectionProgress(counting_url, "counting", 1)
    await run(counting_url, "update es.projection set positions = '{\"0\": 1}' where partition = 0")
    await progress.wait_until(appended.position, 1, stream_id=fast)
    for stream_id in (slow, None):
        with pytest.raises(TimeoutError):
            await progress.wait_until(appended.position, 0.05, stream_id=stream_id)
    assert await progress.positions() == {0: 1}
    await progress.close()
