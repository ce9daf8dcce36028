"""Silent workers lose their leases, and only they: never a worker that nobody could hear."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from directorybolt.job.v1 import job_pb2

import eventstore.migrate
from services.projections.checkpoints import snapshot
from services.projections.migration import migrate
from services.projections.scheduling import SchedulingProjection
from services.runtime.loop import Loop
from stack.postgres import EmbeddedPostgres
from tests.doubles.quick_worker import QuickWorker
from tests.fix_postgres import postgres_binaries, postgres_cluster
from tests.fix_scheduler import open_stage, stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.domain.submission import Submission
    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "stage"]

SHORT = timedelta(seconds=0.3)
PULSE_SECONDS = 0.05


async def claimed(stage: Stage, lease: timedelta, directory_id: str = "yellow") -> Submission:
    """Return a submission that a worker has just claimed under a lease of this length."""
    await stage.catalogue(directory_id)
    await stage.order(directory_id)
    await stage.plan()
    await stage.dispatch()
    worker = QuickWorker(stage.ledger, stage.queue, lease=lease)
    states = {each.directory_id: each for each in await worker.claim_all()}
    await stage.caught_up()
    return states[directory_id]


@asynccontextmanager
async def reaping(stage: Stage) -> AsyncGenerator[Loop]:
    """Run a reaper as the scheduler does, only faster."""
    loop = Loop("lease reaper", stage.reaper().run_once, interval_seconds=0.05, clock=stage.clock)
    await loop.start()
    try:
        yield loop
    finally:
        await loop.drain()


@asynccontextmanager
async def pulsing(stage: Stage, state: Submission) -> AsyncGenerator[None]:
    """Pulse as a live worker does."""

    async def give_one() -> bool:
        await stage.worker.pulse(state)
        return False

    loop = Loop("pulse", give_one, interval_seconds=PULSE_SECONDS, clock=stage.clock)
    await loop.start()
    try:
        yield
    finally:
        await loop.drain()


async def event_comes(stage: Stage, state: Submission, event_type: str) -> None:
    """Return when the submission has had such an event."""
    while event_type not in await stage.types(UUID(state.submission_id)):
        await stage.store.wait_for_news(await stage.store.head(), 0.2)


async def test_silence_before_a_permit_is_a_retry(stage: Stage) -> None:
    """The worker is gone, nothing was sent: the submission is due again."""
    state = await claimed(stage, SHORT)

    async with reaping(stage):
        await event_comes(stage, state, "RetryScheduled")

    after = await stage.submission("yellow")
    assert after.state == job_pb2.SUBMISSION_STATE_RETRYING
    assert after.error_class == job_pb2.ERROR_CLASS_WORKER_LOST
    assert not await stage.worker.permit(state)


async def test_silence_after_a_permit_is_a_doubt(stage: Stage) -> None:
    """The worker may have clicked: somebody has to look before anybody clicks again."""
    state = await claimed(stage, SHORT)
    await stage.worker.permit(state)

    async with reaping(stage):
        await event_comes(stage, state, "SubmissionUncertain")

    after = await stage.submission("yellow")
    assert after.uncertain
    assert after.permit_expires_at is not None
    assert after.due_at is not None
    assert after.due_at > after.permit_expires_at


async def test_a_pulse_renews_the_lease(stage: Stage) -> None:
    """A worker that pulses for several lease lengths keeps what it has; another that does not loses it."""
    alive = await claimed(stage, SHORT)
    async with pulsing(stage, alive), reaping(stage):
        silent = await claimed(stage, SHORT, "green")
        await event_comes(stage, silent, "LeaseReaped")
        silent = await claimed(stage, SHORT, "blue")
        await event_comes(stage, silent, "LeaseReaped")

    assert (await stage.submission("yellow")).held_by(alive.claim_version)


async def test_the_pulse_of_an_old_claim_renews_nothing(stage: Stage) -> None:
    """A worker that lost its lease and does not know it cannot keep the next one's alive."""
    old = await claimed(stage, SHORT)
    async with reaping(stage):
        await event_comes(stage, old, "LeaseReaped")
        await stage.caught_up()
        await stage.until("select bool_and(due_at <= clock_timestamp()) from scheduler.work")
        await stage.dispatch()
        async with pulsing(stage, old):
            (new,) = await QuickWorker(stage.ledger, stage.queue, "worker-2", SHORT).claim_all()
            while (await stage.submission("yellow")).held_by(new.claim_version):
                await stage.store.wait_for_news(await stage.store.head(), 0.2)

    assert (await stage.types(UUID(old.submission_id))).count("LeaseReaped") == 2


async def test_a_result_that_came_in_between_wins(stage: Stage) -> None:
    """The reaper's rows may be old; the stream decides, and a listed submission stays listed."""
    state = await claimed(stage, SHORT)
    await stage.until("select last_pulse_at + interval '1 second' < clock_timestamp() from scheduler.lease")
    stage.projector.stop()
    await stage.worker.list_it(state)

    async with reaping(stage) as loop:
        await loop.signals.ran.reached(5)

    assert (await stage.submission("yellow")).state == job_pb2.SUBMISSION_STATE_LISTED


async def test_a_reaper_that_has_just_begun_waits_a_lease_first(stage: Stage) -> None:
    """It cannot know whether the silence is the worker's or was its own."""
    await claimed(stage, SHORT)
    await stage.until("select last_pulse_at + interval '1 second' < clock_timestamp() from scheduler.lease")

    await stage.reaper().run_once()

    assert (await stage.submission("yellow")).state == job_pb2.SUBMISSION_STATE_CLAIMED


async def test_nothing_is_reaped_while_the_read_model_is_behind(stage: Stage) -> None:
    """Pulses that nobody has read yet are no silence."""
    state = await claimed(stage, SHORT)
    stage.projector.stop()
    async with pulsing(stage, state), reaping(stage) as loop:
        await stage.until(
            "select last_pulse_at + 5 * interval '0.3 second' < clock_timestamp() from scheduler.lease"
        )
        await loop.signals.ran.reached(loop.signals.ran.count + 3)

    assert (await stage.submission("yellow")).held_by(state.claim_version)
    assert await checkpoint_lags(stage)


async def checkpoint_lags(stage: Stage) -> bool:
    """Return whether the read model is behind the pulses, as the test means it to be."""
    model = SchedulingProjection
    async with stage.pool.connection() as connection:
        seen = await snapshot(connection, model.name, model.version, model.lanes)
    return not seen.reached(seen.heads)


async def test_a_restart_of_postgres_rescues_nobody_who_lives() -> None:
    """Down for longer than a lease, and looked at by the reaper before anybody could pulse again.

    Who goes on pulsing afterwards keeps what it holds; who fell silent meanwhile is still found.
    """
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as postgres:
        url = await postgres.create_database("restart_test")
        await eventstore.migrate.migrate(url)
        await migrate(url)
        async with open_stage(url) as stage:
            lease = timedelta(seconds=2)
            alive, dead = await claimed(stage, lease), await claimed(stage, lease, "green")
            async with reaping(stage) as loop:
                await postgres.kill()
                await loop.signals.failed.next()
                await postgres.restart()
                await loop.signals.ran.next()
                async with pulsing(stage, alive):
                    await event_comes(stage, dead, "LeaseReaped")
                    await loop.signals.ran.reached(loop.signals.ran.count + 5)
            assert (await stage.submission("yellow")).held_by(alive.claim_version)
