"""Watching a job: every reader gets the same sequence, from wherever it begins, and none is lost."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid5

import pytest
from directorybolt.event.v1 import job_events_pb2, submission_events_pb2
from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from eventstore.memory import MemoryEventStore
from eventstore.types import ANY_VERSION, Position
from services.domain.errors import InvalidArgument, JobNotFound, PositionBeyondEnd
from services.intake.evidence_details import SubmissionPresenter
from services.intake.names import Owned
from services.intake.watch import JobWatcher
from services.runtime.clock import SystemClock
from services.runtime.ledger import Ledger, job_stream, submission_stream
from services.runtime.tokens import TokenSealer
from tests.doubles.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from directorybolt.intake.v1 import jobs_pb2
    from google.protobuf.message import Message

    from eventstore.privacy.vault import Vault
    from services.runtime.ledger import Stream

    Script = Sequence[tuple[Stream, Message]]

CUSTOMER = UUID("0190a000-0000-7000-8000-000000000001")
STRANGER = UUID("0190a000-0000-7000-8000-000000000002")
JOB, OTHER = uuid5(CUSTOMER, "job"), uuid5(CUSTOMER, "other")
FRESH, SHARED, LATER = (str(uuid5(CUSTOMER, each)) for each in ("fresh", "shared", "later"))
NAME = Owned(CUSTOMER, JOB)


def of_job(job_id: UUID, message: Message) -> tuple[Stream, Message]:
    """Return an event of a job."""
    return job_stream(str(job_id), str(CUSTOMER)), message


def of_submission(submission_id: str, message: Message) -> tuple[Stream, Message]:
    """Return an event of a submission."""
    return submission_stream(submission_id, str(CUSTOMER)), message


def accepted(job_id: UUID) -> tuple[Stream, Message]:
    """Return the event that begins a job."""
    fact = job_events_pb2.JobAccepted(job_id=str(job_id), customer_id=str(CUSTOMER), profile_id=str(CUSTOMER))
    return of_job(job_id, fact)


def planned(job_id: UUID, *submissions: str) -> tuple[Stream, Message]:
    """Return the plan of a job."""
    plan = [job_events_pb2.PlannedSubmission(submission_id=each) for each in submissions]
    return of_job(job_id, job_events_pb2.JobPlanned(job_id=str(job_id), submissions=plan))


def requested(submission_id: str, job_id: UUID) -> tuple[Stream, Message]:
    """Return the event that begins a submission."""
    fact = submission_events_pb2.SubmissionRequested(
        submission_id=submission_id, customer_id=str(CUSTOMER), profile_id=str(CUSTOMER), job_id=str(job_id)
    )
    return of_submission(submission_id, fact)


def joined(submission_id: str, job_id: UUID) -> tuple[Stream, Message]:
    """Return the event by which a further job asks for a submission."""
    return of_submission(submission_id, submission_events_pb2.SubmissionJoined(job_id=str(job_id)))


def claimed(submission_id: str) -> tuple[Stream, Message]:
    """Return a claim."""
    return of_submission(submission_id, submission_events_pb2.SubmissionClaimed(attempt=1, worker_id="w"))


def listed(submission_id: str) -> tuple[Stream, Message]:
    """Return a good end."""
    return of_submission(submission_id, submission_events_pb2.SubmissionListed(attempt=1))


#: What the other job does, what ours does, and the beginnings of ours in either order of plan and requests.
THEIRS: Script = [accepted(OTHER), requested(SHARED, OTHER), planned(OTHER, SHARED), claimed(SHARED)]
REQUESTS: Script = [requested(FRESH, JOB), joined(SHARED, JOB), requested(LATER, JOB)]
PLAN: Script = [planned(JOB, FRESH, SHARED, LATER)]
ENDS: Script = [listed(FRESH), claimed(LATER), listed(SHARED), listed(LATER)]
DONE: Script = [of_job(JOB, job_events_pb2.JobCompleted(job_id=str(JOB)))]
WHOLE: Script = [*THEIRS, accepted(JOB), *REQUESTS, *PLAN, *ENDS, *DONE]
PLAN_FIRST: Script = [*THEIRS, accepted(JOB), *PLAN, *REQUESTS, *ENDS, *DONE]
#: A plan may name a submission that was settled before, without joining it.
UNJOINED: Script = [
    *THEIRS,
    listed(SHARED),
    accepted(JOB),
    requested(FRESH, JOB),
    planned(JOB, FRESH, SHARED),
    listed(FRESH),
    *DONE,
]


class Bench:
    """A log in memory, and a watcher of it."""

    def __init__(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = MemoryEventStore(lambda: now)
        self.ledger = Ledger(self.store, "test")
        self.sealer = TokenSealer(b"k" * 32, ManualClock())
        # No submission here has evidence, so nothing is ever opened.
        presenter = SubmissionPresenter(cast("Vault", None))
        self.watcher = JobWatcher(self.ledger, presenter, self.sealer, SystemClock())

    async def append(self, script: Script) -> None:
        """Append events, one by one."""
        for stream, message in script:
            await self.ledger.append(stream, [message], ANY_VERSION)

    async def watch(self, after: str = "") -> list[jobs_pb2.WatchJobResponse]:
        """Return all steps up to the end of the job."""
        async with aclosing(self.watcher.watch(NAME, after)) as steps:
            return [each async for each in steps]

    async def watch_live(self, script: Script, already: int) -> list[jobs_pb2.WatchJobResponse]:
        """Return what a watcher sees that begins when so many events are there and follows the rest."""
        await self.append(script[:already])
        watching = asyncio.create_task(self.watch())
        for each in script[already:]:
            await asyncio.sleep(0)
            await self.append([each])
        return await watching


def types(steps: Sequence[jobs_pb2.WatchJobResponse]) -> list[tuple[str, str]]:
    """Return stream and kind of each event."""
    return [(each.event.stream_id, str(each.event.WhichOneof("data"))) for each in steps]


def bench_with(script: Script) -> Bench:
    """Return a bench whose log holds a script."""
    bench = Bench()
    asyncio.run(bench.append(script))
    return bench


async def test_a_watch_shows_the_job_and_its_submissions_and_nothing_else():
    bench = Bench()
    await bench.append(WHOLE)
    steps = await bench.watch()
    assert types(steps) == [
        (str(JOB), "job_accepted"),
        (FRESH, "submission_requested"),
        (SHARED, "submission_requested"),
        (SHARED, "submission_claimed"),
        (SHARED, "submission_joined"),
        (LATER, "submission_requested"),
        (str(JOB), "job_planned"),
        (FRESH, "submission_listed"),
        (LATER, "submission_claimed"),
        (SHARED, "submission_listed"),
        (LATER, "submission_listed"),
        (str(JOB), "job_completed"),
    ]


async def test_each_step_shows_the_submission_and_the_job_after_it():
    bench = Bench()
    await bench.append(WHOLE)
    steps = await bench.watch()
    by_type = {(each.event.stream_id, str(each.event.WhichOneof("data"))): each for each in steps}
    assert not steps[0].HasField("submission")
    assert by_type[SHARED, "submission_claimed"].submission.state == job_pb2.SUBMISSION_STATE_CLAIMED
    half = by_type[FRESH, "submission_listed"].job
    assert (half.counts.total, half.counts.listed, half.counts.open) == (3, 1, 2)
    assert half.state == job_pb2.JOB_STATE_RUNNING
    assert steps[-1].job.state == job_pb2.JOB_STATE_COMPLETED
    assert steps[-1].job.counts == job_pb2.SubmissionCounts(total=3, listed=3)


async def test_a_plan_that_names_a_settled_submission_brings_its_past():
    bench = Bench()
    await bench.append(UNJOINED)
    steps = types(await bench.watch())
    past = steps.index((SHARED, "submission_requested"))
    assert steps[past : past + 4] == [
        (SHARED, "submission_requested"),
        (SHARED, "submission_claimed"),
        (SHARED, "submission_listed"),
        (str(JOB), "job_planned"),
    ]


@pytest.mark.parametrize(
    "script", [WHOLE, PLAN_FIRST, UNJOINED], ids=["requests first", "plan first", "unjoined"]
)
@pytest.mark.parametrize("behind", range(6))
async def test_a_live_watcher_sees_what_a_late_one_sees(script: Script, behind: int):
    bench = Bench()
    live = await bench.watch_live(script, script.index(accepted(JOB)) + 1 + behind)
    late = await bench.watch()
    assert [each.event.event_id for each in live] == [each.event.event_id for each in late]
    assert [each.job.counts.SerializeToString() for each in live] == [
        each.job.counts.SerializeToString() for each in late
    ]


@given(st.sampled_from([WHOLE, PLAN_FIRST, UNJOINED]), st.data())
def test_who_goes_on_from_any_step_loses_nothing(script: Script, data: st.DataObject):
    bench = bench_with(script)
    steps = asyncio.run(bench.watch())
    stop = data.draw(st.integers(0, len(steps) - 1))
    rest = asyncio.run(bench.watch(steps[stop].position))
    seen = [each.event.event_id for each in steps]
    resumed = [each.event.event_id for each in rest]
    # From within the past of a joined submission, that past comes again, whole; otherwise nothing twice.
    assert seen[len(seen) - len(resumed) :] == resumed
    repeated = len(resumed) - (len(seen) - stop - 1)
    assert repeated == 0 or steps[stop].event.stream_id == SHARED


async def test_a_finished_watch_ends_at_once():
    bench = Bench()
    await bench.append(WHOLE)
    steps = await bench.watch()
    assert await bench.watch(steps[-1].position) == []


async def test_a_broken_off_watch_leaves_no_task_behind():
    bench = Bench()
    await bench.append(WHOLE[:6])
    before = asyncio.all_tasks()
    watching = asyncio.create_task(bench.watch())
    await asyncio.sleep(0.01)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert asyncio.all_tasks() == before


async def test_a_job_of_another_customer_is_not_there():
    bench = Bench()
    await bench.append(WHOLE)
    with pytest.raises(JobNotFound):
        await anext(bench.watcher.watch(Owned(STRANGER, JOB), ""))


async def test_a_token_that_is_none_is_refused():
    bench = Bench()
    await bench.append(WHOLE)
    with pytest.raises(InvalidArgument):
        await bench.watch("made-up")
    with pytest.raises(InvalidArgument):
        await bench.watch(bench.sealer.position_token(Position(3, 1)))


async def test_a_position_beyond_the_end_is_refused():
    bench = Bench()
    await bench.append(WHOLE)
    with pytest.raises(PositionBeyondEnd):
        await bench.watch(bench.sealer.position_token(Position(0, 1_000)))
