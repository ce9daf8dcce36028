"""What a projector promises: rows and checkpoint move together, under one holder, whoever dies or sleeps."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.audit.verify import verify
from eventstore.errors import LeaseLost
from eventstore.following.partitions import Holding
from eventstore.following.projection import ProjectionProgress
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter, Position
from tests.fix_events import TENANT, append_to, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

pytest_plugins = ["tests.fix_postgres"]


@dataclass
class Tally:
    """Counts events by lane; a test may hold it in the middle of a page."""

    name: str = "tally"
    version: int = 1
    lanes: tuple[int, ...] = (LEDGER_LANE,)
    only: Filter = field(default_factory=Filter)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event | None = None
    fail_with: Exception | None = None

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write a row for each event."""
        for each in page:
            await connection.execute(
                "insert into tally (lane, position) values (%s, %s)",
                [each.position.lane, each.position.number],
            )
        self.entered.set()
        if self.go_on is not None:
            await self.go_on.wait()
        if self.fail_with is not None:
            error, self.fail_with = self.fail_with, None
            raise error

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Delete the rows."""
        await connection.execute("delete from tally")


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    """Give a database with the tally's table."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "create table tally (lane int, position bigint, primary key (lane, position))"
        )
    return database_url


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[PostgresEventStore]:
    """Give an empty store."""
    async with PostgresEventStore.open(url) as store:
        yield store


async def rows(url: str, lane: int = LEDGER_LANE) -> list[int]:
    """Return the positions that were counted, in order."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select position from tally where lane = %s order by 1", [lane])
        return [position for (position,) in await cursor.fetchall()]


async def paused(url: str) -> tuple[int, str]:
    """Return where the tally is paused and why, once it is."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "select failed_position, error from es.projection where paused_at is not null"
            )
            row = await cursor.fetchone()
            if row is not None:
                return row
            await asyncio.sleep(0.01)


async def steal(url: str) -> None:
    """Give the lease to somebody else."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "update es.projection set epoch = epoch + 1, holder = 'thief',"
            " expires_at = clock_timestamp() + interval '1 hour'"
        )


@asynccontextmanager
async def projecting(
    ledger: PostgresEventStore, url: str, projection: Tally, lease_seconds: float = 15
) -> AsyncGenerator[Projector]:
    """Run a projector with short times."""
    projector = Projector(ledger, url, projection, lease_seconds=lease_seconds, poll_seconds=0.2, page_max=5)
    async with asyncio.timeout(20), projector.running():
        yield projector


async def test_rows_follow_the_log(ledger: PostgresEventStore, url: str) -> None:
    before = await ledger.append(append_to(count=12))
    async with projecting(ledger, url, Tally()) as projector:
        await projector.wait_until(before.position, 10)
        assert await rows(url) == list(range(1, 13))

        after = await ledger.append(append_to(count=3))
        await projector.wait_until(after.position, 10)

        assert await rows(url) == list(range(1, 16))
        [progress] = await projector.progress()
        assert (progress.position, progress.head, progress.lag) == (after.position, after.position, 0)


async def test_a_stopped_projector_goes_on_where_it_was(ledger: PostgresEventStore, url: str) -> None:
    for _ in range(2):
        appended = await ledger.append(append_to(count=3))
        async with projecting(ledger, url, Tally()) as projector:
            await projector.wait_until(appended.position, 10)

    assert await rows(url) == list(range(1, 7))


async def test_both_lanes_are_followed(ledger: PostgresEventStore, url: str) -> None:
    appended = await ledger.append(append_to(count=7))
    for _ in range(7):
        await ledger.append_pulse(uuid4(), "worker", TENANT, event())

    async with projecting(ledger, url, Tally(lanes=(LEDGER_LANE, PULSE_LANE))) as projector:
        await projector.wait_until(appended.position, 10)
        await projector.wait_until(Position(PULSE_LANE, 7), 10)
        await ledger.append_pulse(uuid4(), "worker", TENANT, event())
        await projector.wait_until(Position(PULSE_LANE, 8), 10)

    assert (await rows(url), await rows(url, PULSE_LANE)) == (list(range(1, 8)), list(range(1, 9)))


async def test_a_filter_moves_the_checkpoint_past_what_it_leaves_out(
    ledger: PostgresEventStore, url: str
) -> None:
    await ledger.append(append_to(category="job"), append_to(category="profile"))
    last = await ledger.append(append_to(count=20, category="profile"))

    async with projecting(ledger, url, Tally(only=Filter(frozenset({"job"})))) as projector:
        await projector.wait_until(last.position, 10)

    assert await rows(url) == [1]


async def test_a_page_that_failed_once_is_applied_once(ledger: PostgresEventStore, url: str) -> None:
    appended = await ledger.append(append_to(count=3))
    async with projecting(ledger, url, Tally(fail_with=ValueError("a bug"))) as projector:
        await projector.wait_until(appended.position, 10)

    assert await rows(url) == [1, 2, 3]


async def test_database_trouble_is_waited_out(ledger: PostgresEventStore, url: str) -> None:
    appended = await ledger.append(append_to(count=3))
    tally = Tally(fail_with=psycopg.OperationalError("the connection broke"))

    async with projecting(ledger, url, tally) as projector:
        await projector.wait_until(appended.position, 10)

    assert await rows(url) == [1, 2, 3]


async def test_a_killed_connection_is_made_anew(ledger: PostgresEventStore, url: str) -> None:
    first = await ledger.append(append_to())
    async with projecting(ledger, url, Tally()) as projector:
        await projector.wait_until(first.position, 10)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'eventstore project tally' and datname = current_database()"
            )
            assert await cursor.fetchall() == [(True,)]
        second = await ledger.append(append_to())
        await projector.wait_until(second.position, 10)

    assert await rows(url) == [1, 2]


async def test_of_two_projectors_one_runs_and_the_other_takes_over(
    ledger: PostgresEventStore, url: str
) -> None:
    idle = Tally()
    first = await ledger.append(append_to(count=2))
    async with projecting(ledger, url, Tally()) as holder:
        await holder.wait_until(first.position, 10)
        async with projecting(ledger, url, idle) as standby:
            second = await ledger.append(append_to(count=2))
            await standby.wait_until(second.position, 10)
            assert not idle.entered.is_set()

            holder.stop()
            third = await ledger.append(append_to(count=2))
            await standby.wait_until(third.position, 10)

    assert idle.entered.is_set()
    assert await rows(url) == [1, 2, 3, 4, 5, 6]


async def test_a_dead_holders_lease_runs_out(ledger: PostgresEventStore, url: str) -> None:
    appended = await ledger.append(append_to(count=2))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        dead = Holding("tally", 1, 1, holder="dead", lease_seconds=0.3)
        await dead.share(connection)
        assert dead.held

    async with projecting(ledger, url, Tally()) as projector:
        await projector.wait_until(appended.position, 10)

    assert await rows(url) == [1, 2]


async def test_a_holder_that_was_replaced_cannot_save(ledger: PostgresEventStore, url: str) -> None:
    await ledger.append(append_to(count=2))
    tally = Tally(go_on=asyncio.Event())
    async with projecting(ledger, url, tally) as projector:
        await tally.entered.wait()
        await steal(url)
        assert tally.go_on is not None
        tally.go_on.set()
        projector.stop()

    assert await rows(url) == []
    [progress] = await projector.progress()
    assert progress.position.number == 0
    await projector.close()


async def test_saving_under_an_old_epoch_is_refused(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        first = Holding("tally", 1, 1, holder="first", lease_seconds=30)
        await first.share(connection)
        await first.save(connection, {0: {0: 5}})
        await steal(url)

        with pytest.raises(LeaseLost):
            await first.save(connection, {0: {0: 6}})

        await first.leave(connection)
        third = Holding("tally", 1, 1, holder="third", lease_seconds=30)
        await third.share(connection)
        assert third.held == {}


async def test_a_transaction_that_a_frozen_holder_left_open_is_ended(
    ledger: PostgresEventStore, url: str
) -> None:
    appended = await ledger.append(append_to(count=2))
    frozen = Tally(go_on=asyncio.Event())
    async with projecting(ledger, url, frozen, lease_seconds=0.4) as first:
        await frozen.entered.wait()
        async with projecting(ledger, url, Tally()) as second:
            # The frozen one's rows are locked until the database ends its transaction.
            await second.wait_until(appended.position, 10)
        first.stop()
        assert frozen.go_on is not None
        frozen.go_on.set()

    assert await rows(url) == [1, 2]


async def test_a_replay_gives_the_same_rows(ledger: PostgresEventStore, url: str) -> None:
    appended = await ledger.append(append_to(count=23))
    async with projecting(ledger, url, Tally()) as projector:
        await projector.wait_until(appended.position, 10)
        before = await rows(url)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("insert into tally values (0, 999)")

        await projector.replay()
        await projector.wait_until(appended.position, 10)

        assert await rows(url) == before


async def test_another_process_can_wait_for_a_position(ledger: PostgresEventStore, url: str) -> None:
    progress = ProjectionProgress(url, "tally", 1)
    with pytest.raises(TimeoutError):
        await progress.wait_until(Position(0, 1), 0.05)

    async with projecting(ledger, url, Tally()):
        appended = await ledger.append(append_to())
        await progress.wait_until(appended.position, 10)
    await progress.close()

    assert await rows(url) == [1]


async def test_a_hole_is_noticed_by_one_who_wants_nothing_of_what_is_missing(
    ledger: PostgresEventStore, url: str
) -> None:
    await ledger.append(append_to(count=5, category="profile"))
    await ledger.append(append_to(count=5))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("alter table es.event_from_1 disable trigger all")
        await connection.execute("delete from es.event_from_1 where position = 4")

    only = Filter(frozenset({"job"}))
    async with projecting(ledger, url, Tally(only=only)):
        assert (await paused(url))[0] == 4


@pytest.mark.parametrize("only", [Filter(), Filter(categories=frozenset({"job", "profile"}))])
@pytest.mark.parametrize("lost", [(3, 3), (1, 5), (3, 602), (699, 699)])
async def test_missing_events_pause_the_projector_with_an_alarm(
    ledger: PostgresEventStore,
    url: str,
    caplog: pytest.LogCaptureFixture,
    lost: tuple[int, int],
    only: Filter,
) -> None:
    first, last = lost
    await ledger.append(append_to(count=700))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("alter table es.event_from_1 disable trigger all")
        await connection.execute(
            "delete from es.event_from_1 where position between %s and %s", [first, last]
        )

    async with projecting(ledger, url, Tally(only=only)):
        assert await paused(url) == (
            first,
            f"HoleInLog: lane 0: position {first - 1} is followed by {last + 1}",
        )

    assert await rows(url) == list(range(1, first))
    assert [record.levelname for record in caplog.records if "cannot be read" in record.message] == [
        "CRITICAL"
    ]
    assert (await verify(ledger)).first_bad == Position(0, first)
