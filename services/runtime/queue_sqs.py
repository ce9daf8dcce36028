"""The work queue on Amazon SQS, or on anything that speaks its protocol.

boto3 is blocking, so its calls run in two small thread pools: one for long polls, which wait, and one for
all else, which must not wait behind them. boto3 reads region, keys and endpoint from the environment.
Standard queues: FIFO groups by priority would serialise all work. A tenant's id goes along as message
group, which makes a standard queue fair between tenants where the server knows of it.

Source: Amazon SQS developer guide, "fair queues" and "dead-letter queues".
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Self, cast

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from services.domain.errors import QueueDown
from services.runtime.queue import (
    DEAD_RETENTION_SECONDS,
    RECEIPTS_MAX,
    WAIT_SECONDS_MAX,
    WORK_QUEUES,
    Depth,
    Received,
    dead_queue_of,
    work_queue_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import TypeVar

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageAttributeValueUnionTypeDef, MessageTypeDef

    from services.runtime.queue import QueueName, WorkMessage

    T = TypeVar("T")

_TRACE_ATTRIBUTE: Final = "traceparent"
_RETENTION_SECONDS: Final = 4 * 24 * 3600
_CONNECT_SECONDS: Final = 2
_CALL_SECONDS: Final = 5
_CALL_THREADS: Final = 4
_POLL_THREADS: Final = 8
_GONE: Final = frozenset(
    {"ReceiptHandleIsInvalid", "InvalidParameterValue", "AWS.SimpleQueueService.MessageNotInflight"}
)
#: A server that keeps queues in memory forgets them when it restarts.
_LACKING: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_log = structlog.stdlib.get_logger(__name__)
_SILENCE: Final = (NoConnection, HTTPClientError)
_DEPTHS: Final[Sequence[QueueAttributeNameType]] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class SqsQueue:
    """Standard queues `<prefix>-p1` to `-p3` with a dead-letter queue each."""

    def __init__(self, prefix: str = "directorybolt") -> None:
        self._prefix = prefix
        self._urls: dict[QueueName, str] = {}
        self._creates = False
        self._calls = ThreadPoolExecutor(_CALL_THREADS, thread_name_prefix="sqs-call")
        self._polls = ThreadPoolExecutor(_POLL_THREADS, thread_name_prefix="sqs-poll")
        session = boto3.Session()
        self._client = _client(session, _CALL_SECONDS, _CALL_THREADS)
        self._polling_client = _client(session, WAIT_SECONDS_MAX + _CALL_SECONDS, _POLL_THREADS)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncGenerator[Self]:
        """Lend the queues of this installation, made where they lack.

        A server that does not answer is no reason not to start: leases are reaped and alerts raised without
        it, and the first call that reaches it looks for the queues.
        Errors: QueueDown when the server refuses.
        """
        queue = cls()
        try:
            try:
                await queue.ensure_queues()
            except QueueDown as error:
                if not isinstance(error.__cause__, _SILENCE):
                    raise
                _log.warning("queue.down_at_start", code=error.metadata.get("code"))
            yield queue
        finally:
            await queue.close()

    def name_of(self, queue: QueueName) -> str:
        """Return the name that the queue has on the server."""
        return f"{self._prefix}-{queue}"

    async def close(self) -> None:
        """Let calls under way finish and give the threads back."""
        await asyncio.to_thread(self._polls.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._calls.shutdown, cancel_futures=True)
        self._client.close()
        self._polling_client.close()

    async def ensure_queues(self) -> None:
        """Look for the queues, make those that lack with their dead letters, and check the redrive rule.

        A queue that is there is left as it is: on AWS it is Terraform's, and a service may only look.
        From then on queues that get lost are created again: what was in them was a hint only.
        Errors: QueueDown.
        """
        self._creates = True
        await asyncio.gather(*(self._ensure(queue) for queue in WORK_QUEUES))

    async def send(self, queue: QueueName, message: WorkMessage, *, trace_parent: str = "") -> str:
        """Send a message and return the queue's id of it.

        Errors: QueueDown; the message may have been sent all the same.
        """
        send = partial(
            self._client.send_message,
            QueueUrl=await self._url(queue),
            MessageBody=message.to_body(),
            MessageGroupId=str(message.customer_id),
            MessageAttributes=_trace_attributes(trace_parent),
        )
        return (await self._call(send))["MessageId"]

    async def receive(
        self, queue: QueueName, *, limit: int, wait_seconds: float, visibility_seconds: float
    ) -> Sequence[Received]:
        """Return up to `limit` messages, waiting for the first; SQS counts in whole seconds.

        Errors: QueueDown.
        """
        receive = partial(
            self._polling_client.receive_message,
            QueueUrl=await self._url(queue),
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=min(WAIT_SECONDS_MAX, round(wait_seconds)),
            VisibilityTimeout=max(0, round(visibility_seconds)),
            MessageAttributeNames=[_TRACE_ATTRIBUTE],
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        answer = await self._in(self._polls, receive)
        return [_received(queue, each) for each in answer.get("Messages", [])]

    async def delete(self, received: Received) -> None:
        """Settle a message; one that went to somebody else in the meantime is left alone.

        Errors: QueueDown.
        """
        url = await self._url(received.queue)
        await self._settle(partial(self._client.delete_message, QueueUrl=url, ReceiptHandle=received.receipt))

    async def change_visibility(self, received: Received, seconds: float) -> None:
        """Hold a message for so many seconds from now; 0 gives it back at once.

        Errors: QueueDown.
        """
        change = partial(
            self._client.change_message_visibility,
            QueueUrl=await self._url(received.queue),
            ReceiptHandle=received.receipt,
            VisibilityTimeout=max(0, round(seconds)),
        )
        await self._settle(change)

    async def depth(self, queue: QueueName) -> Depth:
        """Return how many messages the queue holds.

        Errors: QueueDown.
        """
        counts = await self._attributes(queue, _DEPTHS)
        return Depth(*(int(counts[name]) for name in _DEPTHS))

    async def _ensure(self, queue: QueueName) -> None:
        look = partial(self._client.get_queue_url, QueueName=self.name_of(queue))
        try:
            found = await _in(self._calls, look)
        except QueueDown as error:
            if error.metadata.get("code") not in _LACKING:
                raise
            await self._make(queue)
            return
        self._urls[queue] = found["QueueUrl"]
        rules = await self._attributes(queue, ("All",))
        if f'"maxReceiveCount":"{RECEIPTS_MAX}"' not in rules.get("RedrivePolicy", "").replace(" ", ""):
            _log.warning("queue.redrive_differs", queue=self.name_of(queue), wanted=RECEIPTS_MAX)

    async def _make(self, queue: QueueName) -> None:
        dead = dead_queue_of(queue)
        await self._create(dead, {"MessageRetentionPeriod": str(DEAD_RETENTION_SECONDS)})
        dead_arn = (await self._attributes(dead, ("QueueArn",)))["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(RECEIPTS_MAX)})
        await self._create(
            queue, {"MessageRetentionPeriod": str(_RETENTION_SECONDS), "RedrivePolicy": policy}
        )

    async def _create(self, queue: QueueName, attributes: Mapping[QueueAttributeNameType, str]) -> None:
        # Created bare and then set: CreateQueue refuses a queue that is there with other attributes.
        created = await self._call(partial(self._client.create_queue, QueueName=self.name_of(queue)))
        self._urls[queue] = created["QueueUrl"]
        await self._call(
            partial(
                self._client.set_queue_attributes, QueueUrl=created["QueueUrl"], Attributes=dict(attributes)
            )
        )

    async def _attributes(
        self, queue: QueueName, names: Sequence[QueueAttributeNameType]
    ) -> Mapping[QueueAttributeNameType, str]:
        get = partial(self._client.get_queue_attributes, AttributeNames=list(names))
        return (await self._call(partial(get, QueueUrl=await self._url(queue))))["Attributes"]

    async def _url(self, queue: QueueName) -> str:
        while (url := self._urls.get(queue)) is None:
            if self._creates:
                await self._ensure(work_queue_of(queue))
            if queue not in self._urls:
                get = partial(self._client.get_queue_url, QueueName=self.name_of(queue))
                self._urls[queue] = (await _in(self._calls, get))["QueueUrl"]
        return url

    async def _settle(self, call: Callable[[], object]) -> None:
        try:
            await self._call(call)
        except QueueDown as error:
            if error.metadata.get("code") not in _GONE:
                raise

    async def _call(self, call: Callable[[], T]) -> T:
        return await self._in(self._calls, call)

    async def _in(self, threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        try:
            return await _in(threads, call)
        except QueueDown as error:
            if error.metadata.get("code") in _LACKING:
                # The next call looks for the queues again.
                self._urls.clear()
            raise


async def _in(threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise QueueDown(f"the queue refused the call: {code}", code=code) from error
    except BotoCoreError as error:
        raise QueueDown(code=type(error).__name__) from error


def _client(session: boto3.Session, read_seconds: int, connections: int) -> SQSClient:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    # Named through the overload's own type: boto3-stubs leave the other four hundred services unknown.
    connect = cast("Callable[..., SQSClient]", session.client)  # pyright: ignore[reportUnknownMemberType]
    return connect("sqs", config=config)


def _trace_attributes(trace_parent: str) -> dict[str, MessageAttributeValueUnionTypeDef]:
    if not trace_parent:
        return {}
    return {_TRACE_ATTRIBUTE: {"DataType": "String", "StringValue": trace_parent}}


def _received(queue: QueueName, message: MessageTypeDef) -> Received:
    system = message.get("Attributes", {})
    trace = message.get("MessageAttributes", {}).get(_TRACE_ATTRIBUTE)
    return Received(
        queue=queue,
        message_id=message.get("MessageId", ""),
        body=message.get("Body", ""),
        receipt=message.get("ReceiptHandle", ""),
        receive_count=int(system.get("ApproximateReceiveCount", "1")),
        sent_at=datetime.fromtimestamp(int(system.get("SentTimestamp", "0")) / 1000, UTC),
        trace_parent=trace.get("StringValue", "") if trace else "",
    )
