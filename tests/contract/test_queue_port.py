"""What every work queue promises, proven of each adapter: the one in memory, and SQS over its protocol."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import boto3
import pytest
from directorybolt.job.v1 import job_pb2

from services.domain.errors import QueueDown
from services.runtime.clock import SystemClock
from services.runtime.queue import RECEIPTS_MAX, UnreadableMessage, WorkMessage, parse_body
from services.runtime.queue_memory import MemoryQueue
from services.runtime.queue_sqs import SqsQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.runtime.queue import QueueName, Received, WorkQueue

pytest_plugins = ["tests.fix_queue"]

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class PutRaw(Protocol):
    """Puts a body into a queue as a foreign program would."""

    async def __call__(self, name: QueueName, body: str) -> None:
        """Put it in."""
        ...


@dataclass(frozen=True)
class Case:
    """An adapter, and a way round it."""

    queue: WorkQueue
    put_raw: PutRaw


@pytest.fixture(params=["memory", "sqs"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "memory":
        memory = MemoryQueue(SystemClock())

        async def put(name: QueueName, body: str) -> None:
            memory.put(name, body)

        return Case(memory, put)
    sqs: SqsQueue = request.getfixturevalue("sqs_queue")

    async def put_sqs(name: QueueName, body: str) -> None:
        client = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
        url = client.get_queue_url(QueueName=sqs.name_of(name))["QueueUrl"]
        await asyncio.to_thread(client.send_message, QueueUrl=url, MessageBody=body)
        client.close()

    return Case(sqs, put_sqs)


@pytest.fixture
def queue(case: Case) -> WorkQueue:
    return case.queue


def _message() -> WorkMessage:
    return WorkMessage(uuid4(), uuid4(), job_pb2.ATTEMPT_PURPOSE_SUBMIT, uuid4())


async def _take(
    queue: WorkQueue, name: QueueName = "p1", *, limit: int = 10, hold: float = 60, wait: float = 2
) -> Sequence[Received]:
    return await queue.receive(name, limit=limit, wait_seconds=wait, visibility_seconds=hold)


async def _exhaust(queue: WorkQueue, name: QueueName) -> None:
    for _ in range(RECEIPTS_MAX):
        (taken,) = await _take(queue, name)
        await queue.change_visibility(taken, 0)
    assert await _take(queue, name, wait=0) == []


async def test_a_message_arrives_as_it_was_sent(queue: WorkQueue) -> None:
    sent = _message()
    message_id = await queue.send("p1", sent, trace_parent=TRACE)
    (taken,) = await _take(queue)
    assert taken.work() == sent
    assert (taken.message_id, taken.trace_parent, taken.receive_count) == (message_id, TRACE, 1)
    assert 0 <= taken.age_seconds(datetime.now(UTC)) < 30  # noqa: TID251


async def test_a_message_without_a_trace_arrives_too(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (taken,) = await _take(queue)
    assert not taken.trace_parent


async def test_queues_are_apart(queue: WorkQueue) -> None:
    await queue.send("p3", _message())
    assert await _take(queue, "p1", wait=0) == []
    assert len(await _take(queue, "p3")) == 1


async def test_a_message_in_somebodys_hands_is_not_given_twice(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    assert len(await _take(queue)) == 1
    assert await _take(queue, wait=0) == []


async def test_a_message_given_back_comes_again(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (first,) = await _take(queue)
    await queue.change_visibility(first, 0)
    (second,) = await _take(queue)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)


async def test_a_message_comes_again_when_its_visibility_ends(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (first,) = await _take(queue, hold=1)
    (second,) = await _take(queue, wait=4)
    assert second.message_id == first.message_id


async def test_a_deleted_message_is_gone(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (taken,) = await _take(queue)
    await queue.delete(taken)
    depth = await queue.depth("p1")
    assert (depth.visible, depth.in_flight) == (0, 0)


async def test_settling_twice_does_no_harm(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (taken,) = await _take(queue)
    await queue.delete(taken)
    await queue.delete(taken)
    await queue.change_visibility(taken, 0)
    assert await _take(queue, wait=0) == []


async def test_a_late_worker_cannot_settle_what_another_holds(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    (late,) = await _take(queue)
    await queue.change_visibility(late, 0)
    (current,) = await _take(queue)
    await queue.delete(late)
    await queue.change_visibility(late, 0)
    assert await _take(queue, wait=0) == []
    await queue.change_visibility(current, 0)
    assert len(await _take(queue)) == 1


async def test_a_batch_holds_no_more_than_asked_for(queue: WorkQueue) -> None:
    for _ in range(5):
        await queue.send("p2", _message())
    first = await _take(queue, "p2", limit=3)
    second = await _take(queue, "p2", limit=10)
    assert 1 <= len(first) <= 3
    assert len({each.message_id for each in (*first, *second)}) == len(first) + len(second)


async def test_a_long_poll_ends_when_something_comes(queue: WorkQueue) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    waiting = asyncio.create_task(_take(queue, wait=20))
    await asyncio.sleep(0)
    await queue.send("p1", _message())
    assert len(await waiting) == 1
    assert clock.monotonic() - began < 10


async def test_depth_counts_what_waits_and_what_is_held(queue: WorkQueue) -> None:
    for _ in range(3):
        await queue.send("p1", _message())
    await _take(queue, limit=1)
    depth = await queue.depth("p1")
    assert (depth.visible, depth.in_flight, depth.delayed) == (2, 1, 0)


async def test_the_sixth_receipt_goes_to_the_dead_letters(queue: WorkQueue) -> None:
    sent = _message()
    await queue.send("p2", sent, trace_parent=TRACE)
    await _exhaust(queue, "p2")
    (dead,) = await _take(queue, "p2-dlq")
    assert dead.work() == sent
    assert dead.receive_count > RECEIPTS_MAX
    assert dead.trace_parent == TRACE
    await queue.delete(dead)
    assert (await queue.depth("p2-dlq")).visible == 0


async def test_an_unreadable_message_keeps_its_body_all_the_way(case: Case) -> None:
    await case.put_raw("p1", "<order>not ours</order>")
    (taken,) = await _take(case.queue)
    with pytest.raises(UnreadableMessage) as unreadable:
        taken.work()
    assert unreadable.value.body == "<order>not ours</order>"
    await case.queue.change_visibility(taken, 0)
    for _ in range(RECEIPTS_MAX - 1):
        (again,) = await _take(case.queue)
        await case.queue.change_visibility(again, 0)
    assert await _take(case.queue, wait=0) == []
    (dead,) = await _take(case.queue, "p1-dlq")
    assert dead.body == "<order>not ours</order>"


async def test_ensuring_the_queues_again_keeps_what_is_in_them(queue: WorkQueue) -> None:
    await queue.send("p1", _message())
    await queue.ensure_queues()
    assert (await queue.depth("p1")).visible == 1


async def test_a_server_that_does_not_answer_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    queue = SqsQueue()
    with pytest.raises(QueueDown):
        await queue.depth("p1")
    await queue.close()


async def test_a_queue_that_is_not_there_is_trouble(sqs_queue: SqsQueue) -> None:
    queue = SqsQueue(prefix=f"absent-{uuid4().hex[:8]}")
    with pytest.raises(QueueDown, match=r"NonExistentQueue|QueueDoesNotExist"):
        await queue.depth("p1")
    await queue.close()
    assert (await sqs_queue.depth("p1")).visible == 0


async def test_the_tenant_travels_as_message_group(sqs_queue: SqsQueue) -> None:
    sent = _message()
    await sqs_queue.send("p1", sent)
    client = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
    url = client.get_queue_url(QueueName=sqs_queue.name_of("p1"))["QueueUrl"]
    answer = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["MessageGroupId"])
    client.close()
    assert answer["Messages"][0].get("Attributes") == {"MessageGroupId": str(sent.customer_id)}


async def test_the_queues_have_their_dead_letter_rules(sqs_queue: SqsQueue) -> None:
    client = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
    url = client.get_queue_url(QueueName=sqs_queue.name_of("p1"))["QueueUrl"]
    dead_url = client.get_queue_url(QueueName=sqs_queue.name_of("p1-dlq"))["QueueUrl"]
    rules = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    dead = client.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["MessageRetentionPeriod"])
    client.close()
    assert '"maxReceiveCount": "5"' in rules["RedrivePolicy"]
    assert sqs_queue.name_of("p1-dlq") in rules["RedrivePolicy"]
    assert dead["Attributes"]["MessageRetentionPeriod"] == "1209600"


async def test_copies_and_order_are_the_tests_to_choose() -> None:
    queue = MemoryQueue(SystemClock(), copies=2, newest_first=True)
    first, second = _message(), _message()
    await queue.send("p1", first)
    await queue.send("p1", second)
    taken = await _take(queue)
    assert [each.work() for each in taken] == [second, second, first, first]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"submission_id": 1}',
        '{"submission_id":"x","dispatch_id":"x","purpose":"submit","customer_id":"x"}',
        _message().to_body().replace("submit", "delete"),
        _message().to_body().replace("}", ', "more": "x"}'),
    ],
)
def test_a_body_that_is_not_ours_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableMessage) as unreadable:
        parse_body(body)
    assert unreadable.value.body == body


async def test_queues_that_are_there_are_left_as_they_are(sqs_queue: SqsQueue) -> None:
    client = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
    url = client.get_queue_url(QueueName=sqs_queue.name_of("p1"))["QueueUrl"]
    client.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})

    await sqs_queue.ensure_queues()

    rules = client.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])
    client.close()
    assert rules["Attributes"] == {"MessageRetentionPeriod": "3600"}
