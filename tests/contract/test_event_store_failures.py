"""What happens to an event that cannot be applied: it is found, then paused at, parked or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from eventstore.connections import PROJECT_ROLE, connect
from eventstore.errors import EventsDeleted
from eventstore.following import parked, resume
from eventstore.following.failing import FailurePolicy
from eventstore.store import EVERYTHING
from eventstore.types import Filter, Page, Position
from tests.fix_counting import (
    Counting,
    counted,
    counting_ledger,
    counting_url,
    projecting,
    select,
    until,
)
from tests.fix_events import append_to

if TYPE_CHECKING:
    from uuid import UUID

    from eventstore.postgres import PostgresEventStore

__all__ = ["counting_ledger", "counting_url"]

pytest_plugins = ["tests.fix_postgres"]

PAUSED = "select count(*) > 0 from es.projection where paused_at is not null"
NOT_PAUSED = "select count(*) = 0 from es.projection where paused_at is not null"


async def parked_events(url: str) -> list[tuple[int, str, int]]:
    """Return position, state and attempts of what is parked."""
    async with await connect(url, PROJECT_ROLE, "look") as connection:
        found = await parked.list_parked(connection, "counting")
    return [(each.position, each.state, each.attempts) for each in found]


async def ask(url: str, what: str, *, position: int | None = None, stream_id: UUID | None = None) -> int:
    """Ask as the command does."""
    place = None if position is None else Position(0, position)
    async with await connect(url, PROJECT_ROLE, "ask") as connection:
        return await parked.ask(connection, what, "counting", position=place, stream_id=stream_id)


async def resumed(url: str) -> int:
    """Resume as the command does."""
    async with await connect(url, PROJECT_ROLE, "resume") as connection:
        return await resume.resume(connection, "counting")


async def test_a_bad_event_pauses_right_before_itself_and_says_why(
    counting_ledger: PostgresEventStore, counting_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await counting_ledger.append(append_to(count=60))
    async with projecting(counting_ledger, counting_url, Counting(bad={38})):
        await until(counting_url, PAUSED)
        assert await counted(counting_url) == list(range(1, 38))
        [row] = await select(
            counting_url,
            "select positions, holder, failed_lane, failed_position, attempts, error from es.projection",
        )
    assert row == ({"0": 37}, None, 0, 38, 2, "ValueError: cannot read 38")
    [said] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert "test.v1.Happened at position 38 of lane 0 failed 2 times" in said


async def test_a_paused_projection_goes_on_when_it_is_resumed(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=60))
    counting = Counting(bad={1})
    async with projecting(counting_ledger, counting_url, counting) as projector:
        await until(counting_url, PAUSED)
        assert await resumed(counting_url) == 1
        await until(counting_url, PAUSED)
        counting.bad.clear()
        assert await resumed(counting_url) == 1
        await projector.wait_until(appended.position, 10)
        assert await resumed(counting_url) == 0
    assert await counted(counting_url) == list(range(1, 61))


async def test_a_pause_outlives_the_process_but_not_the_release(
    counting_ledger: PostgresEventStore, counting_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    appended = await counting_ledger.append(append_to(count=6))
    async with projecting(counting_ledger, counting_url, Counting(bad={4}), release="1"):
        await until(counting_url, PAUSED)
    same = Counting()
    async with projecting(counting_ledger, counting_url, same, release="1"):
        await until(counting_url, "select count(*) = 1 from es.projection_member")
    assert same.pages == []
    [_, said] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert said.startswith("project counting finds 1 of 1 partitions paused, the first at position 4 of")
    async with projecting(counting_ledger, counting_url, release="2") as projector:
        await projector.wait_until(appended.position, 10)
    assert await counted(counting_url) == list(range(1, 7))


async def test_a_pause_in_one_partition_leaves_the_others_running(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    stream_ids = [uuid4() for _ in range(8)]
    for _ in range(3):
        for each in stream_ids:
            await counting_ledger.append(append_to(each, 2))
    counting = Counting(bad={17})
    async with projecting(counting_ledger, counting_url, counting, partitions=8) as projector:
        await until(counting_url, PAUSED)
        paused_stream = stream_ids[0]
        others = [each for each in stream_ids if each.int % 8 != paused_stream.int % 8]
        for each in others:
            await projector.wait_until(Position(0, 48), 10, stream_id=each)
        assert set(range(1, 49)) - set(await counted(counting_url)) >= {17, 18, 33, 34}
        with pytest.raises(TimeoutError):
            await projector.wait_until(Position(0, 48), 0.05, stream_id=paused_stream)
        counting.bad.clear()
        await resumed(counting_url)
        await projector.wait_until(Position(0, 48), 10)
    assert await counted(counting_url) == list(range(1, 49))


async def test_a_parked_event_blocks_its_stream_alone_and_is_replayed_in_order(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    bad, good = uuid4(), uuid4()
    for each in (bad, good, bad, good):
        await counting_ledger.append(append_to(each, 5))
    counting = Counting(bad={3})
    async with projecting(counting_ledger, counting_url, counting, policy=FailurePolicy.PARK) as projector:
        await projector.wait_until(Position(0, 20), 10)
        assert await counted(counting_url) == [1, 2, *range(6, 11), *range(16, 21)]
        assert await parked_events(counting_url) == [
            (3, "failed", 2),
            *((number, "behind", 0) for number in (4, 5, *range(11, 16))),
        ]

        assert await ask(counting_url, "replay") == 1
        await until(counting_url, "select attempts = 3 and asked is null from es.parked where position = 3")
        counting.bad.clear()
        await ask(counting_url, "replay")
        await until(counting_url, "select count(*) = 0 from es.parked")
        appended = await counting_ledger.append(append_to(bad, 5))
        await projector.wait_until(appended.position, 10)
    assert await counted(counting_url) == list(range(1, 26))


async def test_a_replay_stops_at_the_next_bad_event(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(uuid4(), 6))
    counting = Counting(bad={2, 5})
    async with projecting(counting_ledger, counting_url, counting, policy=FailurePolicy.PARK):
        await until(counting_url, "select count(*) = 5 from es.parked")
        counting.bad.discard(2)
        await ask(counting_url, "replay", position=2)
        await until(counting_url, "select state = 'failed' from es.parked where position = 5")
        assert await parked_events(counting_url) == [(5, "failed", 1), (6, "behind", 0)]
    assert await counted(counting_url) == [1, 2, 3, 4]


async def test_a_discarded_event_is_left_out_and_its_stream_goes_on(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(uuid4(), 6))
    async with projecting(counting_ledger, counting_url, Counting(bad={2}), policy=FailurePolicy.PARK):
        await until(counting_url, "select count(*) = 5 from es.parked")
        await ask(counting_url, "discard", position=2)
        await until(counting_url, "select count(*) = 0 from es.parked")
    assert await counted(counting_url) == [1, 3, 4, 5, 6]


async def test_a_whole_stream_may_be_discarded(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    bad = uuid4()
    await counting_ledger.append(append_to(bad, 6), append_to(uuid4(), 2))
    async with projecting(counting_ledger, counting_url, Counting(bad={2}), policy=FailurePolicy.PARK):
        await until(counting_url, "select count(*) = 5 from es.parked")
        await ask(counting_url, "discard", stream_id=bad)
        await until(counting_url, "select count(*) = 0 from es.parked")
    assert await counted(counting_url) == [1, 7, 8]


async def test_what_was_asked_while_nobody_ran_is_done_later(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(uuid4(), 3))
    async with projecting(counting_ledger, counting_url, Counting(bad={2}), policy=FailurePolicy.PARK):
        await until(counting_url, "select count(*) = 2 from es.parked")
    await ask(counting_url, "replay")
    await counting_ledger.append(append_to(uuid4()))
    async with projecting(counting_ledger, counting_url, policy=FailurePolicy.PARK) as projector:
        await projector.wait_until(Position(0, 4), 10)
        await until(counting_url, "select count(*) = 0 from es.parked")
    assert await counted(counting_url) == [1, 2, 3, 4]


async def test_a_skipped_event_is_recorded_and_blocks_nothing(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(uuid4(), 9))
    async with projecting(
        counting_ledger, counting_url, Counting(bad={1, 2, 9}), policy=FailurePolicy.SKIP
    ) as projector:
        await projector.wait_until(appended.position, 10)
        assert await parked_events(counting_url) == [(each, "skipped", 2) for each in (1, 2, 9)]
        assert await ask(counting_url, "replay") == 0
        assert await ask(counting_url, "discard") == 3
        await until(counting_url, "select count(*) = 0 from es.parked")
    assert await counted(counting_url) == list(range(3, 9))


async def test_good_events_around_many_bad_ones_are_applied_in_few_transactions(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(*(append_to() for _ in range(50)))
    appended = await counting_ledger.append(*(append_to() for _ in range(50)))
    counting = Counting(bad={1, 50, 51, 100})
    async with projecting(counting_ledger, counting_url, counting, policy=FailurePolicy.SKIP) as projector:
        await projector.wait_until(appended.position, 10)
    assert await counted(counting_url) == sorted(set(range(1, 101)) - counting.bad)
    assert len(counting.pages) < 60


async def test_trouble_with_the_database_is_never_an_events_fault(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=3))

    class Troubled(Counting):
        """Meets a database that is away, more often than an event may fail."""

        async def apply(self, connection: psycopg.AsyncConnection[object], page: object) -> None:
            self.pages.append(1)
            if len(self.pages) < 5:
                raise psycopg.OperationalError("the primary is away")
            if len(self.pages) < 9:
                raise psycopg.errors.ReadOnlySqlTransaction("this is a replica")
            await super().apply(connection, page)  # type: ignore[arg-type]

    async with projecting(counting_ledger, counting_url, Troubled()) as projector:
        await projector.wait_until(appended.position, 20)
    assert await select(counting_url, NOT_PAUSED) == [(True,)]
    assert await counted(counting_url) == [1, 2, 3]


async def test_a_replay_from_the_beginning_forgets_what_was_parked_and_paused(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(uuid4(), 4))
    counting = Counting(bad={2})
    async with projecting(counting_ledger, counting_url, counting, policy=FailurePolicy.PARK) as projector:
        await projector.wait_until(appended.position, 10)
        counting.bad = {3}
        await projector.replay()
        await until(counting_url, "select count(*) = 2 from es.parked")
        assert await parked_events(counting_url) == [(3, "failed", 2), (4, "behind", 0)]
    assert await counted(counting_url) == [1, 2]


async def test_a_parked_event_that_cannot_be_read_any_more_stays_parked(
    counting_ledger: PostgresEventStore, counting_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counting_ledger.append(append_to(uuid4(), 3))
    async with projecting(
        counting_ledger, counting_url, Counting(bad={2}), policy=FailurePolicy.PARK
    ) as projector:
        await until(counting_url, "select count(*) = 2 from es.parked")

        read_all = counting_ledger.read_all

        async def _gone(after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
            if limit == 1:
                raise EventsDeleted(3, {})
            return await read_all(after, limit=limit, only=only)

        with monkeypatch.context() as patched:
            patched.setattr(counting_ledger, "read_all", _gone)
            await ask(counting_url, "replay")
            await until(
                counting_url, "select attempts = 3 and asked is null from es.parked where position = 2"
            )
        appended = await counting_ledger.append(append_to(uuid4()))
        await projector.wait_until(appended.position, 10)
    [(error,)] = await select(counting_url, "select error from es.parked where position = 2")
    assert error.startswith("EventsDeleted")
    assert await counted(counting_url) == [1, 4]
