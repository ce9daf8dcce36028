"""Gathers what many callers want to append into few calls, without a timer.

While one batch is under way the next one gathers; an idle store still answers a lone caller at once. When
the database goes away, the batch is sent again, with the same event ids, until the oldest of its callers has
waited long enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from eventstore.connections import backoff
from eventstore.errors import AppendQueueFull, StoreUnavailable
from eventstore.line import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

REQUESTS_PER_BATCH_MAX = 512
EVENTS_PER_BATCH_MAX = 4_096
BYTES_PER_BATCH_MAX = 1_048_576
QUEUE_BYTES_MAX = 64 * 1_048_576
DRAIN_SECONDS_MAX = 10.0

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class Sender(Protocol[RequestT_contra, AnswerT_co]):
    """Sends batches over a connection of its own."""

    async def send(self, batch: Sequence[RequestT_contra]) -> Sequence[AnswerT_co | Exception]:
        """Send a batch; one answer or refusal per request, in order.

        Errors: ConnectionLost when sending the same again may help; anything else condemns the batch.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(eq=False, slots=True)
class _Pending(Generic[RequestT, AnswerT]):
    request: RequestT
    event_ids: frozenset[UUID]
    size_bytes: int
    expires_at: float
    answer: asyncio.Future[AnswerT] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def settle(self, answer: AnswerT | Exception) -> None:
        if isinstance(answer, Exception):
            self.fail(answer)
        elif not self.answer.done():
            self.answer.set_result(answer)


class Coalescer(Generic[RequestT, AnswerT]):
    """A bounded queue in front of one Sender."""

    def __init__(self, sender: Sender[RequestT, AnswerT], *, queue_max: int, patience_seconds: float) -> None:
        """Take the sender; `patience_seconds` is how long a caller waits for a database that is away."""
        self._sender = sender
        self._queue_max = queue_max
        self._patience_seconds = patience_seconds
        self._waiting: deque[_Pending[RequestT, AnswerT]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, request: RequestT, event_ids: frozenset[UUID], size_bytes: int) -> AnswerT:
        """Queue a request and return its answer.

        Errors: AppendQueueFull, StoreUnavailable, and what the sender refused this request with.
        """
        if self._closing:
            raise StoreUnavailable("the event store is closed")
        if len(self._waiting) >= self._queue_max or self._waiting_bytes + size_bytes > QUEUE_BYTES_MAX:
            raise AppendQueueFull
        expires_at = asyncio.get_running_loop().time() + self._patience_seconds
        pending = _Pending[RequestT, AnswerT](request, event_ids, size_bytes, expires_at)
        self._waiting.append(pending)
        self._waiting_bytes += size_bytes
        self._arrived.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="eventstore appender")
        return await pending.answer

    async def close(self) -> None:
        """Send what waits, for at most DRAIN_SECONDS_MAX, then stop."""
        self._closing = True
        self._arrived.set()
        if self._worker is not None:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._worker, DRAIN_SECONDS_MAX)
        self._fail_waiting(StoreUnavailable("the event store was closed before this was sent"))
        await self._sender.close()

    async def _work(self) -> None:
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            # Callers that the last batch has just woken come back within this turn: they belong together.
            await asyncio.sleep(0)
            batch = self._take()
            if batch:
                await self._deliver(batch)

    def _take(self) -> Sequence[_Pending[RequestT, AnswerT]]:
        """Take what fits one call; a request with event ids that the batch has waits for the next."""
        batch: list[_Pending[RequestT, AnswerT]] = []
        event_ids: set[UUID] = set()
        size_bytes = 0
        while self._waiting and len(batch) < REQUESTS_PER_BATCH_MAX:
            each = self._waiting[0]
            too_much = size_bytes + each.size_bytes > BYTES_PER_BATCH_MAX
            too_many = len(event_ids) + len(each.event_ids) > EVENTS_PER_BATCH_MAX
            if batch and (too_much or too_many or not event_ids.isdisjoint(each.event_ids)):
                break
            self._waiting.popleft()
            self._waiting_bytes -= each.size_bytes
            if not each.answer.cancelled():
                batch.append(each)
                event_ids |= each.event_ids
                size_bytes += each.size_bytes
        if not self._waiting and not self._closing:
            self._arrived.clear()
        return batch

    async def _deliver(self, batch: Sequence[_Pending[RequestT, AnswerT]]) -> None:
        """Send a batch until it is answered or nobody waits for it any more."""
        try:
            async for pause_seconds in backoff():
                batch = self._still_waited_for(batch)
                if not batch:
                    return
                try:
                    answers = await self._sender.send([each.request for each in batch])
                except ConnectionLost:
                    self._expire_waiting()
                    await asyncio.sleep(pause_seconds)
                    continue
                for each, answer in zip(batch, answers, strict=True):
                    each.settle(answer)
                return
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever one batch does to it
            await self._deliver_apart(batch, error)
        except asyncio.CancelledError:
            for each in batch:
                each.fail(StoreUnavailable("the event store was closed; whether this was written is unknown"))
            raise

    async def _deliver_apart(self, batch: Sequence[_Pending[RequestT, AnswerT]], error: Exception) -> None:
        """Send the requests of a batch that broke one by one, so that the broken one harms nobody else."""
        if len(batch) == 1:
            batch[0].fail(error)
            return
        for each in batch:
            await self._deliver([each])

    def _still_waited_for(
        self, batch: Sequence[_Pending[RequestT, AnswerT]]
    ) -> Sequence[_Pending[RequestT, AnswerT]]:
        now = asyncio.get_running_loop().time()
        for each in batch:
            if each.expires_at <= now:
                each.fail(StoreUnavailable())
        return [each for each in batch if not each.answer.done()]

    def _expire_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0].expires_at <= now:
            each = self._waiting.popleft()
            self._waiting_bytes -= each.size_bytes
            each.fail(StoreUnavailable())

    def _fail_waiting(self, error: Exception) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)
        self._waiting_bytes = 0
