"""Jobs end when all they have is settled; cancels reach what nobody may have clicked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from directorybolt.job.v1 import job_pb2

from tests.fix_scheduler import postgres_cluster, stage

if TYPE_CHECKING:
    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "stage"]


async def sent(stage: Stage, *directory_ids: str) -> str:
    """Return a job whose submissions have all been dispatched."""
    await stage.catalogue(*directory_ids)
    job_id = await stage.order(*directory_ids)
    await stage.plan()
    await stage.dispatch()
    return job_id


async def complete(stage: Stage) -> None:
    """Let a completer do one round."""
    await stage.completer().run_once()
    await stage.caught_up()


async def carry_out_cancels(stage: Stage) -> None:
    """Let a canceller and a completer do one round each."""
    await stage.canceller().run_once()
    await stage.caught_up()
    await complete(stage)


async def test_a_job_is_complete_when_all_is_settled(stage: Stage) -> None:
    job_id = await sent(stage, "yellow", "green")
    first, second = await stage.worker.claim_all()
    await stage.worker.list_it(first)
    await stage.caught_up()

    await complete(stage)
    half = (await stage.job(job_id)).state
    await stage.worker.fail(second, job_pb2.ERROR_CLASS_BUG)
    await stage.caught_up()
    await complete(stage)

    job = await stage.job(job_id)
    assert (half, job.state) == (job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_COMPLETED)
    assert job.final_counts == job_pb2.SubmissionCounts(total=2, listed=1, dead_lettered=1)


async def test_two_completers_end_a_job_once(stage: Stage) -> None:
    job_id = await sent(stage, "yellow")
    (state,) = await stage.worker.claim_all()
    await stage.worker.list_it(state)
    await stage.caught_up()

    await asyncio.gather(*(stage.completer().run_once() for _ in range(3)))

    assert (await stage.types(UUID(job_id))).count("JobCompleted") == 1


async def test_a_job_that_joins_what_is_settled_is_complete_at_once(stage: Stage) -> None:
    """The listing is there: the second job has nothing to wait for."""
    await sent(stage, "yellow")
    (state,) = await stage.worker.claim_all()
    await stage.worker.list_it(state)
    second = await stage.order("yellow")
    await stage.plan()

    await complete(stage)

    assert (await stage.job(second)).final_counts == job_pb2.SubmissionCounts(total=1, listed=1)


async def test_a_cancel_ends_what_was_not_clicked(stage: Stage) -> None:
    """Waiting, dispatched and claimed work is cancelled; a worker that comes late finds its claim gone."""
    job_id = await sent(stage, "yellow", "green")
    (received, *_) = await stage.worker.messages()
    state = await stage.worker.claim(received)
    assert state is not None
    await stage.cancel(job_id)

    await carry_out_cancels(stage)

    job = await stage.job(job_id)
    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert job.final_counts == job_pb2.SubmissionCounts(total=2, cancelled=2)
    assert not await stage.worker.permit(state)


async def test_a_cancel_waits_for_what_may_have_been_clicked(stage: Stage) -> None:
    """After a permit the attempt goes to its end, and the job with it."""
    job_id = await sent(stage, "yellow")
    (state,) = await stage.worker.claim_all()
    await stage.worker.permit(state)
    await stage.cancel(job_id)

    await carry_out_cancels(stage)
    waiting = (await stage.job(job_id)).state
    await stage.worker.list_it(state)
    await stage.caught_up()
    await carry_out_cancels(stage)

    job = await stage.job(job_id)
    assert waiting == job_pb2.JOB_STATE_CANCELLING
    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert job.final_counts == job_pb2.SubmissionCounts(total=1, listed=1)


async def test_an_attempt_that_fails_after_the_cancel_is_not_retried(stage: Stage) -> None:
    """The site proved that nothing was taken: the next round of the canceller finds the retry."""
    job_id = await sent(stage, "yellow")
    (state,) = await stage.worker.claim_all()
    await stage.worker.permit(state)
    await stage.cancel(job_id)
    await stage.worker.fail(state, job_pb2.ERROR_CLASS_TRANSIENT)
    await stage.caught_up()

    await carry_out_cancels(stage)

    assert (await stage.submission("yellow")).state == job_pb2.SUBMISSION_STATE_CANCELLED
    assert (await stage.job(job_id)).state == job_pb2.JOB_STATE_CANCELLED


async def test_a_cancel_leaves_what_another_job_wants(stage: Stage) -> None:
    """The shared submission goes on for the other job; only when both are cancelled is it."""
    first = await sent(stage, "yellow")
    second = await stage.order("yellow")
    await stage.plan()
    await stage.cancel(first)

    await carry_out_cancels(stage)
    shared = (await stage.submission("yellow")).state
    await stage.cancel(second)
    await carry_out_cancels(stage)

    assert shared == job_pb2.SUBMISSION_STATE_DISPATCHED
    assert (await stage.submission("yellow")).state == job_pb2.SUBMISSION_STATE_CANCELLED
    states = [(await stage.job(each)).state for each in (first, second)]
    assert states == [job_pb2.JOB_STATE_CANCELLED] * 2


async def test_a_job_cancelled_before_its_plan_asks_for_nothing(stage: Stage) -> None:
    job_id = await stage.order("yellow")
    await stage.cancel(job_id)

    await stage.plan()
    await carry_out_cancels(stage)

    job = await stage.job(job_id)
    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert job.final_counts == job_pb2.SubmissionCounts()
    assert (await stage.submission("yellow")).version == 0


async def test_what_was_requested_while_the_cancel_came_in_is_cancelled(stage: Stage) -> None:
    """A planner that had requested and not yet planned leaves nothing that runs for a cancelled job."""
    job_id = await stage.order("yellow", "green")
    await stage.plan_until_broken(appends=1)
    await stage.cancel(job_id)

    await stage.plan()
    await carry_out_cancels(stage)

    job = await stage.job(job_id)
    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert job.final_counts == job_pb2.SubmissionCounts(total=1, cancelled=1)
