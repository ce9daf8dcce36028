"""The journal of an attempt: the permit is fenced, and a lost lease stops the work before it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from directorybolt.directory.v1.directory_pb2 import Directory
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from eventstore.memory import MemoryEventStore
from eventstore.types import NO_STREAM, PULSE_LANE, Position
from services.domain import attempts
from services.domain.retry_policy import Chance
from services.runtime.ledger import Ledger, submission_stream
from services.submitter.attempt_result import AttemptResult, Fenced, FillReport, ResultKind
from services.submitter.claiming import Claim
from services.submitter.journal import LedgerJournal
from services.submitter.settings import WorkerSettings
from tests.doubles.manual_clock import ManualClock

SETTINGS = WorkerSettings("w-1", 1, timedelta(seconds=60), timedelta(seconds=10), timedelta(seconds=30), 1.0)


class FreeSlots:
    """Slots of a directory that nobody else visits."""

    async def renew(self, directory_id: str, submission_id: str, expires_in_seconds: float) -> None:
        """Keep the slot."""


class Scene:
    """A claimed submission and its journal."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryEventStore(self.clock.now)
        self.ledger = Ledger(self.store, "test")
        self.submission_id, self.customer_id = str(uuid4()), str(uuid4())

    async def claimed(self) -> LedgerJournal:
        request = facts.SubmissionRequested(
            submission_id=self.submission_id,
            customer_id=self.customer_id,
            job_id=str(uuid4()),
            directory_id="site",
            attempts_max=6,
        )
        dispatch = facts.SubmissionDispatched(dispatch_id="d", purpose=job_pb2.ATTEMPT_PURPOSE_SUBMIT)
        stream = submission_stream(self.submission_id, self.customer_id)
        await self.ledger.append(stream, [request, dispatch], NO_STREAM)
        known = await self.ledger.submission(self.submission_id)
        change = await self.ledger.change_submission(
            known, lambda now: attempts.claim(now, "d", "w-1", SETTINGS.lease)
        )
        self.claim = Claim(change.after, Directory())
        return LedgerJournal(self.ledger, FreeSlots(), self.claim, self.clock, SETTINGS)  # pyright: ignore[reportArgumentType]

    async def reap(self) -> None:
        await self.ledger.change_submission(
            self.claim.state,
            lambda now: attempts.reap(
                now, self.claim.state.claim_version, timedelta(0), self.clock.now(), Chance(0.5)
            ),
        )

    async def types(self) -> list[str]:
        return [each.event_type for each in await self.store.read_stream(UUID(self.submission_id))]


async def test_a_permit_is_counted_from_before_it_was_asked_for() -> None:
    scene = Scene()
    journal = await scene.claimed()
    asked_at = scene.clock.monotonic()

    permit = await journal.permit()

    assert permit.expires_monotonic == asked_at + SETTINGS.permit.total_seconds()
    assert (await scene.types())[-1] == "SubmitPermitted"


async def test_there_is_one_permit_per_attempt() -> None:
    journal = await Scene().claimed()
    await journal.permit()

    with pytest.raises(Fenced):
        await journal.permit()


async def test_a_worker_whose_lease_was_reaped_gets_no_permit() -> None:
    scene = Scene()
    journal = await scene.claimed()
    await scene.reap()

    with pytest.raises(Fenced):
        await journal.permit()
    assert "SubmitPermitted" not in await scene.types()


async def test_a_worker_whose_lease_was_reaped_cannot_report_its_form() -> None:
    scene = Scene()
    journal = await scene.claimed()
    await scene.reap()

    with pytest.raises(Fenced):
        await journal.form_filled(FillReport((), 0, 1.0, "signature"))


async def test_an_attempt_pulses_while_it_runs_and_not_after() -> None:
    scene = Scene()
    journal = await scene.claimed()
    may_end = asyncio.Event()

    async def work() -> AttemptResult:
        await may_end.wait()
        return AttemptResult(ResultKind.LISTED)

    running = asyncio.create_task(journal.guard(work()))
    for _ in range(3):
        await scene.clock.somebody_sleeps()
        await scene.clock.advance(SETTINGS.pulse.total_seconds())
    await scene.clock.somebody_sleeps()
    may_end.set()
    result = await running
    pulses = await scene.store.read_all(Position(PULSE_LANE, 0))
    await scene.clock.advance(10 * SETTINGS.pulse.total_seconds())
    later = await scene.store.read_all(Position(PULSE_LANE, 0))

    assert result.kind is ResultKind.LISTED
    assert len(pulses.events) == 4
    assert len(later.events) == len(pulses.events)


async def test_a_lost_lease_stops_the_work_before_a_permit() -> None:
    scene = Scene()
    journal = await scene.claimed()
    stopped = asyncio.Event()

    async def work() -> AttemptResult:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError

    running = asyncio.create_task(journal.guard(work()))
    await scene.clock.somebody_sleeps()
    await scene.reap()
    await scene.clock.advance(SETTINGS.pulse.total_seconds())

    with pytest.raises(Fenced):
        await running
    assert stopped.is_set()


async def test_a_lost_lease_does_not_stop_the_work_after_a_permit() -> None:
    scene = Scene()
    journal = await scene.claimed()
    may_end = asyncio.Event()

    async def work() -> AttemptResult:
        await journal.permit()
        await may_end.wait()
        return AttemptResult(ResultKind.LISTED)

    running = asyncio.create_task(journal.guard(work()))
    await scene.clock.somebody_sleeps()
    await scene.reap()
    await scene.clock.advance(SETTINGS.pulse.total_seconds())
    await scene.clock.somebody_sleeps()
    may_end.set()

    assert (await running).kind is ResultKind.LISTED
