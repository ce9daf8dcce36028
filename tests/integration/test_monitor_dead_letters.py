"""What no worker could claim: body stored, event appended, alert raised, then deleted from the queue."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from directorybolt.event.v1 import system_events_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.errors import StoreUnavailable
from services.domain import identity
from services.monitor.dead_letters import BODY_BYTES_MAX, DeadLetterCollector
from services.runtime.ledger import Ledger
from services.runtime.queue import RECEIPTS_MAX, WorkMessage
from tests.doubles.breaking_store import BreakingStore
from tests.fix_monitor import monitor_template, postgres_cluster, watch
from tests.fix_queue import sqs_environment, sqs_queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.runtime.queue import QueueName
    from services.runtime.queue_sqs import SqsQueue
    from tests.fix_monitor import Watch

__all__ = ["monitor_template", "postgres_cluster", "sqs_environment", "sqs_queue", "watch"]

DeadLetterFound = system_events_pb2.DeadLetterFound


async def put(queue: SqsQueue, name: QueueName, body: str) -> str:
    """Put a body into a queue as a foreign program would, and return the queue's id of it."""
    client: Any = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
    url = client.get_queue_url(QueueName=queue.name_of(name))["QueueUrl"]
    sent = await asyncio.to_thread(client.send_message, QueueUrl=url, MessageBody=body)
    client.close()
    return sent["MessageId"]


async def found(watch: Watch) -> Sequence[system_events_pb2.DeadLetterFound]:
    history = await watch.ledger.history(identity.queue_stream("p1-dlq"))
    return [DeadLetterFound.FromString(each.payload) for each in history]


async def test_a_message_that_nobody_can_read_is_stored_with_its_body_alerted_and_deleted(
    watch: Watch, sqs_queue: SqsQueue
) -> None:
    body = "not one of ours: \N{SNOWMAN}"
    message_id = await put(sqs_queue, "p1-dlq", body)
    collector = DeadLetterCollector(watch.ledger, sqs_queue)

    await collector.run_once()

    [fact] = await found(watch)
    assert fact.body.decode() == body
    assert (fact.queue, fact.message_id, fact.submission_id) == ("p1-dlq", message_id, "")
    depth = await sqs_queue.depth("p1-dlq")
    assert (depth.visible, depth.in_flight) == (0, 0)
    [alert] = await watch.raised(watch.judge())
    assert (alert.rule, alert.subject) == ("dead_message", f"queues/p1-dlq/messages/{message_id}")


async def test_a_message_that_killed_each_consumer_names_its_submission(
    watch: Watch, sqs_queue: SqsQueue
) -> None:
    work = WorkMessage(uuid4(), uuid4(), job_pb2.ATTEMPT_PURPOSE_SUBMIT, uuid4())
    await sqs_queue.send("p1", work)
    for _ in range(RECEIPTS_MAX):
        [received] = await sqs_queue.receive("p1", limit=1, wait_seconds=1, visibility_seconds=0)
        assert received.work() == work
    assert not await sqs_queue.receive("p1", limit=1, wait_seconds=0, visibility_seconds=0)

    await DeadLetterCollector(watch.ledger, sqs_queue).run_once()

    [fact] = await found(watch)
    assert fact.submission_id == str(work.submission_id)
    assert json.loads(fact.body)["dispatch_id"] == str(work.dispatch_id)


async def test_a_message_is_deleted_only_after_it_is_stored_and_stored_once_however_often_it_is_seen(
    watch: Watch, sqs_queue: SqsQueue
) -> None:
    await put(sqs_queue, "p1-dlq", "x")
    said_no = BreakingStore(watch.store, 0, after=True)

    with pytest.raises(StoreUnavailable):
        await DeadLetterCollector(Ledger(said_no, "monitor"), sqs_queue, visibility_seconds=0).run_once()
    depth = await sqs_queue.depth("p1-dlq")
    assert depth.visible + depth.in_flight == 1

    await DeadLetterCollector(watch.ledger, sqs_queue, visibility_seconds=0).run_once()
    assert len(await found(watch)) == 1


async def test_a_body_that_is_too_long_is_cut_and_not_lost(watch: Watch, sqs_queue: SqsQueue) -> None:
    await put(sqs_queue, "p1-dlq", "x" * (BODY_BYTES_MAX + 1_000))

    await DeadLetterCollector(watch.ledger, sqs_queue).run_once()

    [fact] = await found(watch)
    assert len(fact.body) == BODY_BYTES_MAX
