"""Why a projection is behind: anybody can ask the database, and gets a sentence that is true."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from eventstore.__main__ import cli
from eventstore.connections import READ_ROLE, connect
from eventstore.following.failing import FailurePolicy
from eventstore.following.standing import Holder, Pause, Standing, State, duration
from eventstore.following.why_behind import why_behind
from eventstore.types import PULSE_LANE
from tests.fix_counting import (
    Counting,
    counted,
    counting_ledger,
    counting_url,
    projecting,
    run,
    until,
)
from tests.fix_events import TENANT, append_to, event

if TYPE_CHECKING:
    from eventstore.postgres import PostgresEventStore

__all__ = ["counting_ledger", "counting_url"]

pytest_plugins = ["tests.fix_postgres"]


async def standing(url: str, name: str = "counting") -> Standing:
    """Return how the projection stands."""
    async with await connect(url, READ_ROLE, "ask") as connection:
        [found] = await why_behind(connection, name)
    return found


async def command(url: str, *arguments: str) -> tuple[int, str]:
    """Run the command and return its exit code and what it said."""
    result = await asyncio.to_thread(
        CliRunner().invoke, cli, arguments, env={"DATABASE_URL": url, "COLUMNS": "400"}
    )
    return result.exit_code, result.output


async def test_a_projection_that_is_there_says_who_holds_it(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=3))
    async with projecting(counting_ledger, counting_url) as projector:
        await projector.wait_until(appended.position, 10)
        found = await standing(counting_url)
        assert (found.state, found.lag, found.eta_seconds) == (State.RUNNING, 0, 0.0)
        assert [each.name for each in found.holders] == [projector.holder]
        assert 0 < found.holders[0].expires_in_seconds <= 15
        assert found.sentence.startswith("counting is up to date at position 3; held by ")
        code, said = await command(counting_url, "projections")
        assert code == 0
        assert "running" in said


async def test_nobody_runs_what_was_stopped_or_killed(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=3))
    async with projecting(counting_ledger, counting_url, partitions=2) as projector:
        await projector.wait_until(appended.position, 10)
    await counting_ledger.append(append_to(count=2))
    for holder, pid in ((None, None), ("killed", 1)):
        await run(
            counting_url,
            "update es.projection set holder = %s, expires_at = 'infinity', session_pid = %s,"
            " session_epoch = epoch",
            holder,
            pid,
        )
        found = await standing(counting_url)
        assert (found.state, found.lag, found.unheld_count, found.eta_seconds) == (State.UNHELD, 2, 2, None)
        assert found.lag_seconds > 0
        assert found.sentence.endswith("; nobody runs it")
    code, said = await command(counting_url, "projections")
    assert code == 1
    assert "nobody runs it" in said


async def test_a_lease_that_a_frozen_holder_keeps_is_waited_for(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    await counting_ledger.append(append_to(count=2))
    async with projecting(counting_ledger, counting_url, partitions=2):
        await until(counting_url, "select count(holder) = 2 from es.projection")
        # Somebody who does not answer: free for the taking, but for the moment in which it is asked.
        async with await connect(counting_url, None, "hold") as connection, connection.transaction():
            await connection.execute("select from es.projection where partition = 1 for update")
            await connection.execute(
                "update es.projection set expires_at = clock_timestamp(), holder = 'frozen',"
                " epoch = epoch + 1 where partition = 1"
            )
            [found] = await why_behind(connection, "counting")
            assert (found.state, found.unheld_count) == (State.WAITING, 1)
            assert "1 of 2 partitions are free, and 1 processes are there to take them" in found.sentence


async def test_a_pause_is_explained_and_resumed_by_command(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=5))
    counting = Counting(bad={4})
    async with projecting(counting_ledger, counting_url, counting) as projector:
        await until(counting_url, "select count(*) = 1 from es.projection where paused_at is not null")
        code, said = await command(counting_url, "projections", "--json")
        [facts] = json.loads(said)
        assert code == 1
        assert (facts["state"], facts["lag"], facts["paused"][0]["position"]) == ("paused", 2, 4)
        assert (
            "paused at position 4 of lane 0 after 2 attempts: ValueError: cannot read 4; resume it"
            in facts["sentence"]
        )
        assert "its content" not in said
        counting.bad.clear()
        assert await command(counting_url, "projections", "resume", "counting") == (
            0,
            "counting: 1 paused partitions were resumed\n",
        )
        await projector.wait_until(appended.position, 10)
        assert await command(counting_url, "projections", "resume", "counting") == (
            0,
            "counting is not paused\n",
        )


async def test_parked_events_are_listed_replayed_and_discarded_by_command(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    first, second = uuid4(), uuid4()
    await counting_ledger.append(append_to(first, 3), append_to(second, 3))
    counting = Counting(bad={1, 4})
    async with projecting(counting_ledger, counting_url, counting, policy=FailurePolicy.PARK) as projector:
        await projector.wait_until(await counting_ledger.head(), 10)
        code, said = await command(counting_url, "parked", "list", "--json")
        assert code == 0
        assert [(each["position"], each["state"]) for each in json.loads(said)] == [
            *((1, "failed"), (2, "behind"), (3, "behind")),
            *((4, "failed"), (5, "behind"), (6, "behind")),
        ]
        assert (await standing(counting_url)).sentence.endswith("; 6 of its events are parked")
        counting.bad.clear()
        assert (
            "asked to replay 1 events"
            in (await command(counting_url, "parked", "replay", "counting", "--stream", str(first)))[1]
        )
        assert (
            "asked to discard 1 events"
            in (await command(counting_url, "parked", "discard", "counting", "--position", "4"))[1]
        )
        await until(counting_url, "select count(*) = 0 from es.parked")
        assert await command(counting_url, "parked", "list") == (0, "no event is parked\n")
        assert (await command(counting_url, "parked", "replay", "counting"))[1].startswith("there is nothing")
    assert await counted(counting_url) == [1, 2, 3, 5, 6]


async def test_the_rate_is_known_from_what_was_saved(
    counting_ledger: PostgresEventStore, counting_url: str
) -> None:
    appended = await counting_ledger.append(append_to(count=300))
    async with projecting(counting_ledger, counting_url) as projector:
        await projector.wait_until(appended.position, 10)
    for ages, rate in ((("30 seconds", "15 seconds"), 10), (("90 seconds", "15 seconds"), 20)):
        await run(
            counting_url,
            "update es.projection set sampled_before = '{}', sampled = '{}',"
            " sampled_before_at = clock_timestamp() - %s::interval,"
            " sampled_at = clock_timestamp() - %s::interval",
            *ages,
        )
        assert (await standing(counting_url)).rate == pytest.approx(rate, rel=0.1)
    await run(
        counting_url,
        "update es.projection"
        " set sampled_before_at = now() - interval '1 day', sampled_at = now() - interval '1 hour'",
    )
    assert (await standing(counting_url)).rate == 0.0


async def test_both_lanes_count(counting_ledger: PostgresEventStore, counting_url: str) -> None:
    await counting_ledger.append(append_to())
    await counting_ledger.append_pulse(uuid4(), "worker", TENANT, event())
    async with projecting(counting_ledger, counting_url, Counting(lanes=(0, PULSE_LANE))) as projector:
        await projector.wait_until(await counting_ledger.head(PULSE_LANE), 10)
        await projector.wait_until(await counting_ledger.head(), 10)
    await counting_ledger.append_pulse(uuid4(), "worker", TENANT, event())
    found = await standing(counting_url)
    assert (found.checkpoint, found.head, found.lag) == ({-1: 1, 0: 1}, {-1: 2, 0: 1}, 1)


async def test_a_database_without_projections_says_so(database_url: str) -> None:
    assert await command(database_url, "projections") == (0, "no projection has run yet\n")


BEHIND = Standing(
    name="jobs",
    version=1,
    state=State.RUNNING,
    head={0: 13_000},
    checkpoint={0: 1_000},
    lag_seconds=1_200.0,
    rate=50.0,
    partitions_count=1,
    unheld_count=0,
    holders=[Holder("host:1", 1, 12.0)],
    standby_count=0,
    pauses=[],
    parked_count=0,
    skipped_count=0,
    passed_over_count=0,
    rebuilt=None,
)


def but(**changes: Any) -> Standing:
    """Return the one that is behind, with changes."""
    return replace(BEHIND, **changes)


PAUSE = Pause(
    3, 0, 1_001, 0, "HoleInLog: position 1000 is followed by 1002", datetime(2026, 1, 2, tzinfo=UTC)
)


FAR = "jobs is 12,000 events and 20 minutes behind, at position 1,000; "
NEAR = "jobs is 10 events and less than a second behind, at position 12,990; "
HELD = "; held by host:1, whose lease lasts 12 seconds"
HOLE = "HoleInLog: position 1000 is followed by 1002; resume it when that is mended"
TWO = [Holder("a", 8, 1), Holder("b", 8, 1)]
AT_ONCE = "it applies 50 events a second and will be there in "


@pytest.mark.parametrize(
    ("standing", "eta_seconds", "sentence"),
    [
        (BEHIND, 300.0, FAR + AT_ONCE + "5 minutes" + HELD),
        (but(rate=10.0), None, FAR + "it applies 10 events a second, and the log grows faster" + HELD),
        (
            but(rate=0.0, rebuilt={0: 70}),
            None,
            FAR + "it did not move in the last minute" + HELD + "; a rebuild beside it is at position 70",
        ),
        (
            but(checkpoint={0: 12_990}, lag_seconds=0.2, partitions_count=16, holders=TWO),
            0.2,
            NEAR + AT_ONCE + "less than a second; held by 2 processes with 16 partitions",
        ),
        (
            but(state=State.PAUSED, partitions_count=16, pauses=[PAUSE]),
            None,
            FAR + "1 of 16 partitions paused at position 1,001 of lane 0: " + HOLE,
        ),
    ],
)
def test_the_sentence_says_what_keeps_it(
    standing: Standing, eta_seconds: float | None, sentence: str
) -> None:
    assert standing.eta_seconds == eta_seconds
    assert standing.sentence == sentence


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a second"),
        (59, "59 seconds"),
        (150, "2 minutes"),
        (9_000, "2 hours"),
        (200_000, "2 days"),
    ],
)
def test_time_spans_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
