"""The assembled scheduler: loops that wake each other, and RPCs over a real channel."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
import pytest_asyncio
from directorybolt.job.v1 import job_pb2
from directorybolt.scheduler.v1 import scheduler_service_pb2 as api
from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

from services.domain.errors import (
    DeadLetterNotFound,
    DomainError,
    InvalidArgument,
    ScopeMissing,
    SubmissionNotFound,
)
from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from services.runtime.config import Environment
from services.runtime.errors import domain_error_from
from services.runtime.process import serving
from services.runtime.queue_sqs import SqsQueue
from services.scheduler.__main__ import assemble
from tests.doubles.quick_worker import QuickWorker
from tests.fix_postgres import postgres_cluster
from tests.fix_queue import sqs_environment
from tests.fix_scheduler import open_stage, scheduler_database
from tests.fix_server import SERVICE_KEY, STAFF_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
    from pathlib import Path

    from services.domain.submission import Submission
    from stack.postgres import EmbeddedPostgres
    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "sqs_environment"]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Running:
    """A scheduler process, stubs of two callers, and the stage on which others act."""

    stage: Stage
    staff: SchedulerServiceStub
    service: SchedulerServiceStub

    @property
    def worker(self) -> QuickWorker:
        """A worker with a long lease."""
        return self.stage.worker

    async def claims(self, count: int) -> list[Submission]:
        """Return the next claims, once there are so many."""
        found: list[Submission] = []
        while len(found) < count:
            found += await self.worker.claim_all()
        return found

    async def reaches(self, job_id: str, state: job_pb2.JobState.ValueType) -> None:
        """Return when a job is in a state."""
        while (await self.stage.job(job_id)).state != state:
            await self.stage.store.wait_for_news(await self.stage.store.head(), 0.2)


def environment(url: str, folder: Path) -> Environment:
    """Return what the process is told, with short times."""
    keys = {"STAFF_KEY_FILE": STAFF_KEY, "SERVICE_KEY_FILE": SERVICE_KEY, "TOKEN_KEY_FILE": "t" * 64}
    for name, text in keys.items():
        (folder / name).write_text(text, encoding="utf-8")
    times = {"LEASE_SECONDS": "30", "PULSE_SECONDS": "0.5", "SWEEP_SECONDS": "0.2", "RETRY_SCALE": "0.001"}
    told = {**{name: str(folder / name) for name in keys}, **times, "RATE_LIMIT_PER_MINUTE": "100000"}
    return Environment({"DATABASE_URL": url, **{f"DIRECTORYBOLT_{k}": v for k, v in told.items()}})


@asynccontextmanager
async def stub(port: int, key: str) -> AsyncGenerator[SchedulerServiceStub]:
    """Give a stub that calls with a key."""
    async with open_channel(f"127.0.0.1:{port}", api_key=key, clock=SystemClock()) as channel:
        yield SchedulerServiceStub(channel)


@pytest_asyncio.fixture
async def running(
    postgres_cluster: EmbeddedPostgres,
    sqs_environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AsyncIterator[Running]:
    """Run a scheduler on a database and queues of its own."""
    for name, value in sqs_environment.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(scheduler_database(postgres_cluster))
        service = await assemble(environment(url, tmp_path), stack)
        ports = await stack.enter_async_context(serving(service))
        stage = await stack.enter_async_context(open_stage(url))
        stage.queue = queue = SqsQueue()
        stack.push_async_callback(queue.close)
        yield Running(
            stage,
            await stack.enter_async_context(stub(ports.grpc_port, STAFF_KEY)),
            await stack.enter_async_context(stub(ports.grpc_port, SERVICE_KEY)),
        )


async def refusal(call: Awaitable[Any]) -> DomainError:
    """Return what a call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return domain_error_from(caught.value)


async def test_an_order_goes_all_the_way(running: Running) -> None:
    """Nobody steps anything: planned, sent, claimed, failed once, sent again, listed, completed."""
    await running.worker.start(slots=4)
    await running.stage.catalogue("yellow", "green")
    job_id = await running.stage.order("yellow", "green", priority=job_pb2.PRIORITY_P1)
    first, second = await running.claims(2)
    await running.worker.list_it(first)
    await running.worker.fail(second, job_pb2.ERROR_CLASS_TRANSIENT)
    (again,) = await running.claims(1)
    await running.worker.list_it(again)

    await running.reaches(job_id, job_pb2.JOB_STATE_COMPLETED)

    assert again.attempt == 2
    assert (await running.stage.job(job_id)).final_counts == job_pb2.SubmissionCounts(total=2, listed=2)


async def test_a_silent_worker_is_found_and_its_work_goes_to_another(running: Running) -> None:
    """Claimed under a short lease and never heard of again: claimed anew by somebody else."""
    await running.stage.catalogue("yellow")
    await running.stage.order("yellow")
    dying = QuickWorker(running.stage.ledger, running.stage.queue, "dying", timedelta(seconds=0.5))
    lost: list[Submission] = []
    while not lost:
        lost += await dying.claim_all()

    (taken,) = await running.claims(1)

    assert (taken.attempt, taken.worker_id) == (2, "worker-1")
    assert not await dying.permit(lost[0])


async def test_list_queues_counts_what_waits_where(running: Running) -> None:
    await running.worker.start(slots=1)
    await running.stage.order("a", "b", "c", "d", priority=job_pb2.PRIORITY_P2)
    await running.stage.until("select count(*) = 2 from scheduler.work where dispatched")

    answer = await running.service.ListQueues(api.ListQueuesRequest())

    assert [each.name for each in answer.queues] == ["queues/p1", "queues/p2", "queues/p3"]
    queue = answer.queues[1]
    assert (queue.waiting, queue.dispatched, queue.claimed, queue.delayed) == (2, 2, 0, 0)
    assert queue.oldest_waiting_age.ToTimedelta() > timedelta(0)
    assert not answer.queues[0].HasField("oldest_waiting_age")


async def test_reap_lease_takes_the_named_claim_and_no_other(running: Running) -> None:
    """Twice is as good as once, and a claim that is not the current one is left alone."""
    await running.stage.order("yellow")
    (state,) = await running.claims(1)
    name = f"submissions/{state.submission_id}"
    other = api.ReapLeaseRequest(submission=name, claim_version=state.claim_version - 1)
    right = api.ReapLeaseRequest(submission=name, claim_version=state.claim_version)

    answers = [await running.service.ReapLease(each) for each in (other, right, right)]

    assert [each.reaped for each in answers] == [False, True, False]
    assert answers[1].state == job_pb2.SUBMISSION_STATE_RETRYING


async def test_reap_lease_refuses_what_makes_no_sense(running: Running) -> None:
    malformed = api.ReapLeaseRequest(submission="submissions/7", claim_version=3)
    zero = api.ReapLeaseRequest(submission=f"submissions/{UNKNOWN}")
    unknown = api.ReapLeaseRequest(submission=f"submissions/{UNKNOWN}", claim_version=3)

    refusals = [await refusal(running.service.ReapLease(each)) for each in (malformed, zero, unknown)]

    assert [type(each) for each in refusals] == [InvalidArgument, InvalidArgument, SubmissionNotFound]
    fields = [each.violations[0].field for each in cast("list[InvalidArgument]", refusals[:2])]
    assert fields == ["submission", "claim_version"]


async def dead_letters(running: Running, *directory_ids: str) -> list[Submission]:
    """Have submissions die, one after the other, and return them."""
    await running.stage.order(*directory_ids)
    dead = await running.claims(len(directory_ids))
    for each in dead:
        await running.worker.fail(each, job_pb2.ERROR_CLASS_BUG)
    await running.stage.caught_up()
    return dead


async def test_dead_letters_are_listed_newest_first_page_by_page(running: Running) -> None:
    dead = await dead_letters(running, "a", "b", "c")

    first = await running.staff.ListDeadLetters(api.ListDeadLettersRequest(page_size=2))
    rest = await running.staff.ListDeadLetters(
        api.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    )

    listed = [*first.dead_letters, *rest.dead_letters]
    assert [each.name for each in listed] == [f"deadLetters/{each.submission_id}" for each in reversed(dead)]
    assert (len(first.dead_letters), rest.next_page_token) == (2, "")
    assert {(each.code, each.attempts_used) for each in listed} == {("http_500", 1)}
    assert listed[0].customer == f"customers/{running.stage.customer_id}"
    assert listed[0].directory == f"directories/{dead[-1].directory_id}"


async def test_a_dead_letter_is_redriven_once(running: Running) -> None:
    """However many ask: one of them did it, and the submission runs again with all its attempts."""
    await running.stage.catalogue("yellow")
    (dead,) = await dead_letters(running, "yellow")
    ask = api.RedriveDeadLetterRequest(name=f"deadLetters/{dead.submission_id}", reason="the site is back")

    answers = [await running.staff.RedriveDeadLetter(ask) for _ in range(3)]
    (again,) = await running.claims(1)
    await running.stage.caught_up()

    assert [each.redriven for each in answers] == [True, False, False]
    assert (again.attempt, again.attempts_used) == (2, 1)
    assert not (await running.staff.ListDeadLetters(api.ListDeadLettersRequest())).dead_letters


async def test_redrive_refuses_what_never_died_and_asks_for_a_reason(running: Running) -> None:
    await running.stage.order("yellow")
    (alive,) = await running.claims(1)
    asked = [
        api.RedriveDeadLetterRequest(name=f"deadLetters/{alive.submission_id}", reason="because"),
        api.RedriveDeadLetterRequest(name=f"deadLetters/{UNKNOWN}", reason="because"),
        api.RedriveDeadLetterRequest(name=f"deadLetters/{alive.submission_id}", reason=" "),
    ]

    refusals = [await refusal(running.staff.RedriveDeadLetter(each)) for each in asked]

    assert [type(each) for each in refusals] == [DeadLetterNotFound, DeadLetterNotFound, InvalidArgument]


async def test_dead_letters_are_for_staff(running: Running) -> None:
    refused = await refusal(running.service.ListDeadLetters(api.ListDeadLettersRequest()))

    assert isinstance(refused, ScopeMissing)
