"""What is due goes out: in the right order, no more than there is room for, and never lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from directorybolt.job.v1 import job_pb2

from eventstore.errors import StoreUnavailable
from services.domain.errors import QueueDown
from services.domain.retry_policy import Chance
from services.runtime.queue import WORK_QUEUES
from tests.doubles.breaking_store import BreakingStore
from tests.doubles.quick_worker import submission_ids
from tests.fix_queue import sqs_environment, sqs_queue
from tests.fix_scheduler import postgres_cluster, stage

if TYPE_CHECKING:
    from services.runtime.queue import QueueName, WorkMessage
    from services.runtime.queue_sqs import SqsQueue
    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "sqs_environment", "sqs_queue", "stage"]

P1, P2, P3 = job_pb2.PRIORITY_P1, job_pb2.PRIORITY_P2, job_pb2.PRIORITY_P3
NOW = timedelta(0)
TYPES_LOST = ["SubmissionRequested", "SubmissionDispatched", "SubmissionDeferred", "SubmissionDispatched"]


class DeafQueue:
    """A queue that cannot be reached; nothing else is asked of it."""

    async def send(self, queue: QueueName, message: WorkMessage, *, trace_parent: str = "") -> str:
        """Fail."""
        del queue, message, trace_parent
        raise QueueDown


async def depths(stage: Stage) -> list[int]:
    """Return how many messages wait in P1, P2 and P3."""
    return [(await stage.queue.depth(queue)).visible for queue in WORK_QUEUES]


async def test_an_order_becomes_a_message_in_sqs(stage: Stage, sqs_queue: SqsQueue) -> None:
    """From the accepted job to a message that a worker can claim with, through a real queue server."""
    stage.queue = sqs_queue
    await stage.order("yellow", priority=P2)
    await stage.plan()

    await stage.dispatch()

    (received,) = await sqs_queue.receive("p2", limit=10, wait_seconds=5, visibility_seconds=30)
    state, message = await stage.submission("yellow"), received.work()
    assert (str(message.submission_id), str(message.dispatch_id)) == (state.submission_id, state.dispatch_id)
    assert str(message.customer_id) == stage.customer_id
    assert message.purpose == job_pb2.ATTEMPT_PURPOSE_SUBMIT
    assert await stage.worker.claim(received) is not None


async def test_a_dispatch_is_written_down_before_the_message_goes(stage: Stage) -> None:
    """A queue that cannot be reached leaves a dispatch that was taken back, not a message without one."""
    await stage.order("yellow")
    await stage.plan()
    good, stage.queue = stage.queue, DeafQueue()  # pyright: ignore[reportAttributeAccessIssue]

    with pytest.raises(QueueDown):
        await stage.dispatch()
    await stage.caught_up()
    stage.queue = good

    state = await stage.submission("yellow")
    assert await stage.types(UUID(state.submission_id)) == TYPES_LOST[:3]
    assert state.due_at is not None
    assert state.state == job_pb2.SUBMISSION_STATE_WAITING


async def test_a_dispatch_that_nobody_claims_goes_out_again(stage: Stage) -> None:
    """A lost message costs a sweep and no attempt; the old message, should it turn up, is out of date."""
    await stage.catalogue("yellow")
    await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()
    (lost,) = await stage.worker.messages()

    await stage.sweeper(NOW).run_once()
    await stage.caught_up()
    await stage.dispatch()

    state = await stage.submission("yellow")
    assert await stage.types(UUID(state.submission_id)) == TYPES_LOST
    assert await stage.worker.claim(lost) is None
    assert len(await stage.worker.claim_all()) == 1
    assert (await stage.submission("yellow")).attempts_used == 1


async def test_a_crash_between_append_and_send_is_repaired(stage: Stage) -> None:
    """The dispatch stands in the log and no message went: the sweeper finds it, the next round sends it."""
    await stage.catalogue("yellow")
    await stage.order("yellow")
    await stage.plan()
    with pytest.raises(StoreUnavailable):
        await stage.dispatcher(BreakingStore(stage.store, breaks_at=0, after=True)).run_once()
    await stage.caught_up()
    crashed, messages = await stage.submission("yellow"), await stage.worker.messages()

    await stage.sweeper(NOW).run_once()
    await stage.caught_up()
    await stage.dispatch()

    assert (crashed.state, messages) == (job_pb2.SUBMISSION_STATE_DISPATCHED, [])
    assert len(await stage.worker.claim_all()) == 1


async def test_a_claimed_dispatch_is_not_swept(stage: Stage) -> None:
    """Also when the sweeper's rows are older than the claim."""
    await stage.order("yellow", "green")
    await stage.plan()
    await stage.dispatch()
    await stage.worker.claim_all()

    await stage.sweeper(NOW).run_once()

    state = await stage.submission("yellow")
    assert state.state == job_pb2.SUBMISSION_STATE_CLAIMED


async def test_a_fresh_dispatch_is_left_alone(stage: Stage) -> None:
    await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()

    await stage.sweeper(timedelta(seconds=60)).run_once()

    assert (await stage.submission("yellow")).state == job_pb2.SUBMISSION_STATE_DISPATCHED


async def test_the_window_is_twice_the_free_slots(stage: Stage) -> None:
    """Two slots: four messages wait, and each claim takes its slot out of the count."""
    await stage.worker.start(slots=2)
    await stage.order(*(f"site-{number}" for number in range(9)))
    await stage.plan()

    await stage.dispatch()
    first = await stage.worker.messages()
    await stage.worker.claim(first[0])
    await stage.caught_up()
    await stage.dispatch()

    assert len(first) == 4
    assert await depths(stage) == [0, 0, 0]


async def test_slots_of_workers_that_drain_or_ended_do_not_count(stage: Stage) -> None:
    """A worker that drains takes no more: with one slot left, two messages wait."""
    await stage.worker.start(slots=8)
    await replace(stage.worker, worker_id="worker-2").start(slots=1)
    await stage.worker.pulse_self(slots=8, draining=True)
    await stage.order(*(f"site-{number}" for number in range(9)))
    await stage.plan()

    await stage.dispatch()

    assert await depths(stage) == [0, 0, 2]


async def test_p1_goes_out_before_p3(stage: Stage) -> None:
    """With room for few, the starter's older order waits behind the enterprise's younger one."""
    await stage.worker.start(slots=1)
    await stage.order("a", "b", "c", priority=P3, profile_id=str(uuid4()))
    await stage.plan()
    await stage.order("d", "e", priority=P1, profile_id=str(uuid4()))
    await stage.plan()

    await stage.dispatch()

    assert await depths(stage) == [2, 0, 0]


async def test_a_joined_submission_goes_out_with_its_new_priority(stage: Stage) -> None:
    await stage.order("yellow", priority=P3)
    await stage.order("yellow", priority=P1)
    await stage.plan()

    await stage.dispatch()

    assert await depths(stage) == [1, 0, 0]


async def test_customers_take_turns(stage: Stage) -> None:
    """A thousand submissions of one customer do not keep another's single one waiting."""
    await stage.worker.start(slots=1)
    await stage.order(*(f"site-{number}" for number in range(20)))
    await stage.order("other", customer_id=str(uuid4()), profile_id=str(uuid4()))
    await stage.plan()

    await stage.dispatch()

    customers = {each.work().customer_id for each in await stage.worker.messages()}
    assert len(customers) == 2


async def test_a_directory_gets_no_more_than_it_bears_and_blocks_nobody(stage: Stage) -> None:
    """Three businesses at a directory that takes one at a time: one goes out, and the others' other work."""
    await stage.catalogue("slow", at_once=1)
    await stage.catalogue("fast", at_once=10)
    for _ in range(3):
        await stage.order("slow", "fast", profile_id=str(uuid4()))
    await stage.plan()

    await stage.dispatch()
    await stage.dispatch()

    directories = [
        (await stage.ledger.submission(str(each))).directory_id
        for each in submission_ids(await stage.worker.messages())
    ]
    assert sorted(directories) == ["fast", "fast", "fast", "slow"]


async def test_a_directory_s_gap_is_kept(stage: Stage) -> None:
    """After a start the next one waits for the gap, though the directory is idle again."""
    await stage.catalogue("gentle", at_once=5, gap=timedelta(hours=1))
    for _ in range(2):
        await stage.order("gentle", profile_id=str(uuid4()))
    await stage.plan()

    await stage.dispatch()
    (state,) = await stage.worker.claim_all()
    await stage.worker.list_it(state)
    await stage.caught_up()
    await stage.dispatch()

    assert await depths(stage) == [0, 0, 0]


async def test_two_dispatchers_at_once_send_each_submission_once(stage: Stage) -> None:
    await stage.order(*(f"site-{number}" for number in range(10)))
    await stage.plan()

    await asyncio.gather(*(stage.dispatcher().run_once() for _ in range(3)))

    sent = submission_ids(await stage.worker.messages())
    assert len(sent) == len(set(sent)) == 10


async def test_what_is_not_due_stays(stage: Stage) -> None:
    """A retry waits for its time; then it goes out with no further event."""
    await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()
    (state,) = await stage.worker.claim_all()
    await stage.worker.fail(state, job_pb2.ERROR_CLASS_TRANSIENT, Chance(draw=0.5))
    await stage.caught_up()

    await stage.dispatch()

    state = await stage.submission("yellow")
    assert state.state == job_pb2.SUBMISSION_STATE_RETRYING
    assert await depths(stage) == [0, 0, 0]


async def test_an_uncertain_submission_goes_out_to_be_looked_at(stage: Stage) -> None:
    """After a doubt the message says verify, and the claim can get no permit."""
    await stage.catalogue("yellow")
    await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()
    (state,) = await stage.worker.claim_all()
    assert await stage.worker.permit(state, timedelta(seconds=-60))
    await stage.worker.doubt(state)
    await stage.caught_up()

    await stage.dispatch()

    (received,) = await stage.worker.messages()
    assert received.work().purpose == job_pb2.ATTEMPT_PURPOSE_VERIFY
    verifier = await stage.worker.claim(received)
    assert verifier is not None
    assert not await stage.worker.permit(verifier)
