"""A queue server that forgets, messages that nobody wrote: neither stops the work or hides a message."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from directorybolt.job.v1 import job_pb2

from services.domain.errors import QueueDown
from services.monitor.dead_letters import DeadLetterCollector
from services.runtime.queue import RECEIPTS_MAX, Depth, UnreadableMessage, WorkMessage, parse_body
from services.runtime.queue_sqs import SqsQueue
from stack.queue_server import QueueServer
from tests.fix_monitor import monitor_template, postgres_cluster, watch
from tests.fix_queue import sqs_environment, sqs_queue
from tests.integration.test_monitor_dead_letters import found, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_monitor import Watch

__all__ = ["monitor_template", "postgres_cluster", "sqs_environment", "sqs_queue", "watch"]

#: Few bytes, but deeper than a JSON reader goes.
DEEP = "[" * 50_000


def test_a_body_nested_too_deep_is_unreadable_and_no_crash() -> None:
    with pytest.raises(UnreadableMessage):
        parse_body(DEEP)


async def test_a_dead_letter_nested_too_deep_does_not_keep_those_behind_it(
    watch: Watch, sqs_queue: SqsQueue
) -> None:
    for body in (DEEP, "behind it"):
        await put(sqs_queue, "p1-dlq", body)

    await DeadLetterCollector(watch.ledger, sqs_queue).run_once()

    assert {fact.body.decode() for fact in await found(watch)} == {DEEP, "behind it"}
    depth = await sqs_queue.depth("p1-dlq")
    assert (depth.visible, depth.in_flight) == (0, 0)


async def test_queues_that_a_restart_of_the_server_took_are_made_again_with_their_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = QueueServer(log_path=tmp_path / "queue.log", scratch=tmp_path / "queue")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    await server.start()
    queue = SqsQueue()
    try:
        await queue.ensure_queues()
        await server.stop()
        await server.start()
        with pytest.raises(QueueDown):
            await queue.receive("p1", limit=1, wait_seconds=0, visibility_seconds=0)

        work = WorkMessage(uuid4(), uuid4(), job_pb2.ATTEMPT_PURPOSE_SUBMIT, uuid4())
        await queue.send("p1", work)
        [received] = await queue.receive("p1", limit=1, wait_seconds=1, visibility_seconds=0)
        assert received.work() == work
        assert f'"maxReceiveCount": "{RECEIPTS_MAX}"' in redrive_policy(queue)
    finally:
        await queue.close()
        await server.stop()


async def test_a_process_that_starts_while_the_queue_server_is_down_finds_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = QueueServer(log_path=tmp_path / "queue.log", scratch=tmp_path / "queue")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    async with SqsQueue.open() as queue:
        with pytest.raises(QueueDown):
            await queue.depth("p1")
        await server.start()
        try:
            assert await queue.depth("p1") == Depth(0, 0, 0)
        finally:
            await server.stop()


def redrive_policy(queue: SqsQueue) -> str:
    client = boto3.client("sqs")  # pyright: ignore[reportUnknownMemberType]
    url = client.get_queue_url(QueueName=queue.name_of("p1"))["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    client.close()
    return answer["Attributes"]["RedrivePolicy"]
