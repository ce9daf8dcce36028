"""Jobs become submissions, shared where they overlap, whatever is broken off in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from eventstore.types import ANY_VERSION, Position
from services.runtime.ledger import submission_stream
from services.scheduler.planner import Planner
from tests.doubles.manual_clock import ManualClock
from tests.fix_scheduler import postgres_cluster, stage

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "stage"]

DIRECTORIES = ("yellow", "green", "blue")


async def settle(stage: Stage, directory_id: str, fact: Message) -> None:
    """Have the profile's submission to a directory end this way."""
    stream = submission_stream((await stage.submission(directory_id)).submission_id, stage.customer_id)
    await stage.ledger.append(stream, [fact], ANY_VERSION)
    await stage.caught_up()


async def planned(stage: Stage, job_id: str) -> list[tuple[str, int, bool]]:
    """Return a job's plan as (directory, generation, joined)."""
    job = await stage.job(job_id)
    return [(each.directory_id, each.generation, each.joined) for each in job.planned]


async def test_a_job_becomes_a_submission_per_directory(stage: Stage) -> None:
    job_id = await stage.order("yellow", "green", "yellow")

    await stage.plan()

    assert (await stage.job(job_id)).state == job_pb2.JOB_STATE_RUNNING
    assert await planned(stage, job_id) == [("yellow", 1, False), ("green", 1, False)]
    assert (await stage.submission("yellow")).jobs == (job_id,)


async def test_without_directories_the_package_chooses_by_authority(stage: Stage) -> None:
    """The starter package buys fifty: the fifty best of those that may be submitted to."""
    await stage.catalogue(*(f"good-{number}" for number in range(49)), authority=50)
    await stage.catalogue("best", authority=99)
    await stage.catalogue("worst", authority=1)
    job_id = await stage.order()

    await stage.plan()

    chosen = [directory_id for directory_id, _, _ in await planned(stage, job_id)]
    assert chosen[0] == "best"
    assert len(chosen) == 50
    assert "worst" not in chosen


async def test_a_job_waits_while_there_is_nothing_to_choose_from(stage: Stage) -> None:
    """It is not completed with nothing done: the catalogue may come yet."""
    job_id = await stage.order()

    await stage.plan()
    waiting = (await stage.job(job_id)).state
    await stage.catalogue("late")
    await stage.caught_up()
    await stage.plan()

    assert waiting == job_pb2.JOB_STATE_ACCEPTED
    assert await planned(stage, job_id) == [("late", 1, False)]


async def test_two_jobs_for_the_same_share_one_submission(stage: Stage) -> None:
    """The second job joins, with the higher priority of the two, and nothing is requested twice."""
    first = await stage.order("yellow", priority=job_pb2.PRIORITY_P3)
    await stage.plan()
    second = await stage.order("yellow", priority=job_pb2.PRIORITY_P1)
    await stage.plan()

    shared = await stage.submission("yellow")
    assert shared.jobs == (first, second)
    assert shared.priority == job_pb2.PRIORITY_P1
    assert await planned(stage, second) == [("yellow", 1, True)]
    assert await stage.types(UUID(shared.submission_id)) == ["SubmissionRequested", "SubmissionJoined"]


async def test_another_profile_is_another_submission(stage: Stage) -> None:
    """Only the same business at the same directory is the same."""
    await stage.order("yellow")
    other = await stage.order("yellow", profile_id="11111111-2222-3333-4444-555555555555")

    await stage.plan()

    assert await planned(stage, other) == [("yellow", 1, False)]


@pytest.mark.parametrize(
    ("ending", "days", "expected"),
    [
        (facts.SubmissionListed(), 29, [("yellow", 1, True)]),
        (facts.SubmissionListed(), 31, [("yellow", 2, False)]),
        (facts.SubmissionCancelled(), 0, [("yellow", 2, False)]),
        (facts.SubmissionDeadLettered(), 0, [("yellow", 1, True)]),
        (facts.FormFilled(), 400, [("yellow", 1, True)]),
    ],
    ids=["listed lately", "listed long ago", "cancelled", "dead-lettered", "not settled, however old"],
)
async def test_what_is_spent_is_done_again_and_the_rest_is_joined(
    stage: Stage, ending: Message, days: int, expected: list[tuple[str, int, bool]]
) -> None:
    await stage.order("yellow")
    await stage.plan()
    await settle(stage, "yellow", ending)
    later = ManualClock(datetime.now(UTC) + timedelta(days=days))  # noqa: TID251  # the store has the wall's
    again = await stage.order("yellow")

    await Planner(stage.ledger, stage.pool, later, "parent").run_once()

    assert await planned(stage, again) == expected


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("breaks_at", range(len(DIRECTORIES) + 1))
async def test_a_plan_that_is_broken_off_is_taken_up_again(stage: Stage, breaks_at: int, after: bool) -> None:  # noqa: FBT001
    """Whichever append is the last: each directory is requested once, and planned once."""
    job_id = await stage.order(*DIRECTORIES)
    await stage.plan_until_broken(appends=breaks_at, after=after)

    await stage.plan()

    assert sorted(await planned(stage, job_id)) == [(each, 1, False) for each in sorted(DIRECTORIES)]
    assert await types_of_all(stage) == {"JobAccepted": 1, "SubmissionRequested": 3, "JobPlanned": 1}


async def types_of_all(stage: Stage) -> Counter[str]:
    """Return how often each event type stands in the ledger."""
    page = await stage.store.read_all(Position(0, 0))
    return Counter(each.event_type for each in page.events)


async def test_a_job_that_cannot_be_planned_keeps_no_other_waiting(stage: Stage) -> None:
    """An order that makes no sense to us fails again and again, and the ones behind it are planned."""
    await stage.order(package=job_pb2.PACKAGE_UNSPECIFIED)
    good = await stage.order("yellow")

    with pytest.raises(ExceptionGroup):
        await stage.plan()

    assert await planned(stage, good) == [("yellow", 1, False)]


async def test_two_planners_at_once_make_one_plan(stage: Stage) -> None:
    job_id = await stage.order(*DIRECTORIES)

    await asyncio.gather(stage.planner().run_once(), stage.planner().run_once())
    await stage.caught_up()

    assert [each for each, _, _ in await planned(stage, job_id)] == list(DIRECTORIES)
    assert await types_of_all(stage) == {"JobAccepted": 1, "SubmissionRequested": 3, "JobPlanned": 1}


async def test_two_jobs_planned_at_once_meet_in_one_submission(stage: Stage) -> None:
    first, second = await stage.order("yellow"), await stage.order("yellow")

    await asyncio.gather(*(stage.planner().run_once() for _ in range(2)))
    await stage.caught_up()

    assert set((await stage.submission("yellow")).jobs) == {first, second}
    joined = [await planned(stage, each) for each in (first, second)]
    assert sorted(flag for plan in joined for _, _, flag in plan) == [False, True]


async def test_a_plan_belongs_to_the_job(stage: Stage) -> None:
    """Every event of a job's plan carries the job as its correlation."""
    job_id = await stage.order("yellow")
    await stage.plan()

    page = await stage.store.read_all(Position(0, 0))

    assert {each.correlation_id for each in page.events} == {UUID(job_id)}
