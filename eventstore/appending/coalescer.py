"""Gathers what many callers want to append into few calls, without a timer.

While one batch is under way the next one gathers; an idle store still answers a lone caller at once. Of many
that wait, half are sent while the other half is at work, so that writing a batch down overlaps with
committing the one before it. When the database goes away, what was under way is sent again, with the same
event ids, until its callers have waited long enough.

Everything runs from callbacks of the loop, but for the way back from trouble: a task for each batch costs a
lone caller a tenth of its append.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from eventstore.connections import backoff
from eventstore.errors import AppendQueueFull, StoreUnavailable
from eventstore.line import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias
    from uuid import UUID

REQUESTS_PER_BATCH_MAX = 512
EVENTS_PER_BATCH_MAX = 4_096
BYTES_PER_BATCH_MAX = 1_048_576
QUEUE_BYTES_MAX = 64 * 1_048_576
DRAIN_SECONDS_MAX = 10.0
BATCHES_UNDER_WAY_MAX = 2
#: A second batch goes out beside the first only when it has so many requests: each one costs the database as
#: much as ten more events and a sync, so small ones had better gather.
REQUESTS_BESIDE_MIN = 64

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

if TYPE_CHECKING:
    Batch: TypeAlias = Sequence["_Pending[RequestT, AnswerT]"]


class Sender(Protocol[RequestT_contra, AnswerT_co]):
    """Sends batches over a connection of its own, in order."""

    def begin(
        self,
        batch: Sequence[RequestT_contra],
        answered: Callable[[Sequence[AnswerT_co | Exception] | Exception], None],
    ) -> None:
        """Begin to send a batch; `answered` is called once, later.

        Errors: of `answered`: ConnectionLost when sending the same again may help; any other exception
        condemns the whole batch. Else there is one answer or refusal per request.
        """
        ...

    async def close(self) -> None:
        """Close the connection; who still waits hears ConnectionLost."""
        ...


@dataclass(eq=False, slots=True)
class _Pending(Generic[RequestT, AnswerT]):
    """A request and who waits for its answer."""

    request: RequestT
    event_ids: frozenset[UUID]
    stream_ids: frozenset[UUID]
    size_bytes: int
    expires_at: float
    answer: asyncio.Future[AnswerT]

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
        self._last_count = 0
        self._under_way: deque[Batch[RequestT, AnswerT]] = deque()
        self._unanswered: deque[Batch[RequestT, AnswerT]] = deque()
        self._turn: asyncio.Handle | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def submit(
        self,
        request: RequestT,
        event_ids: frozenset[UUID],
        size_bytes: int,
        stream_ids: frozenset[UUID] = frozenset(),
    ) -> AnswerT:
        """Queue a request and return its answer.

        Two requests that name the same stream are sent in the order in which they came.
        Errors: AppendQueueFull, StoreUnavailable, and what the sender refused this request with.
        """
        if self._closing:
            raise StoreUnavailable("the event store is closed")
        if len(self._waiting) >= self._queue_max or self._waiting_bytes + size_bytes > QUEUE_BYTES_MAX:
            raise AppendQueueFull
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + self._patience_seconds
        pending = _Pending(request, event_ids, stream_ids, size_bytes, expires_at, loop.create_future())
        self._waiting.append(pending)
        self._waiting_bytes += size_bytes
        self._idle.clear()
        if self._expiry is None:
            self._expiry = loop.call_at(expires_at, self._expire)
        if self._last_count == 1 and not self._under_way and self._turn is None and len(self._waiting) == 1:
            # A lone caller, as far as one can tell: nobody is worth another turn of the loop.
            self._send()
        else:
            self._schedule(loop)
        return await pending.answer

    async def close(self) -> None:
        """Send what waits, for at most DRAIN_SECONDS_MAX, then stop."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_SECONDS_MAX)
        self._closed = True
        for handle in (self._expiry, self._turn):
            if handle is not None:
                handle.cancel()
        self._fail_waiting(StoreUnavailable("the event store was closed before this was sent"))
        unknown = StoreUnavailable("the event store was closed; whether this was written is unknown")
        for each in self._in_the_air():
            each.fail(unknown)
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait({self._recovery})
        await self._sender.close()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send at the end of this turn: callers that it woke come back within it, and belong together."""
        if self._turn is None and self._recovery is None and self._has_room():
            self._turn = loop.call_soon(self._send)

    def _has_room(self) -> bool:
        if not self._under_way:
            return True
        return len(self._under_way) < BATCHES_UNDER_WAY_MAX and len(self._waiting) >= REQUESTS_BESIDE_MIN

    def _send(self) -> None:
        self._turn = None
        while self._waiting and self._recovery is None and not self._unanswered and self._has_room():
            batch = self._take()
            if not batch:
                break
            self._under_way.append(batch)
            self._last_count = len(batch)
            self._sender.begin([each.request for each in batch], partial(self._answered, batch))
        self._rest()

    def _take(self) -> Batch[RequestT, AnswerT]:
        """Take what fits one call.

        A request with event ids that the batch has waits for the next; so does one that names a stream under
        way: should that batch be sent again in pieces, the two would change places.
        """
        batch: list[_Pending[RequestT, AnswerT]] = []
        event_ids: set[UUID] = set()
        busy = {stream_id for each in self._in_the_air() for stream_id in each.stream_ids}
        requests_max = self._share()
        size_bytes = 0
        while self._waiting and len(batch) < requests_max:
            each = self._waiting[0]
            too_much = size_bytes + each.size_bytes > BYTES_PER_BATCH_MAX
            too_many = len(event_ids) + len(each.event_ids) > EVENTS_PER_BATCH_MAX
            if batch and (too_much or too_many or not event_ids.isdisjoint(each.event_ids)):
                break
            if not busy.isdisjoint(each.stream_ids):
                break
            self._waiting.popleft()
            self._waiting_bytes -= each.size_bytes
            if not each.answer.done():
                batch.append(each)
                event_ids |= each.event_ids
                size_bytes += each.size_bytes
        return batch

    def _share(self) -> int:
        """Return how many requests a batch takes: half of many, so that two batches take turns."""
        if not self._under_way and len(self._waiting) >= 2 * REQUESTS_BESIDE_MIN:
            return min((len(self._waiting) + 1) // 2, REQUESTS_PER_BATCH_MAX)
        return REQUESTS_PER_BATCH_MAX

    def _answered(
        self, batch: Batch[RequestT, AnswerT], outcome: Sequence[AnswerT | Exception] | Exception
    ) -> None:
        self._under_way.remove(batch)
        if isinstance(outcome, ConnectionLost):
            self._unanswered.append(batch)
        else:
            self._unanswered.extend(_concluded(batch, outcome))
        self._go_on()

    def _go_on(self) -> None:
        if self._unanswered:
            if not self._under_way and self._recovery is None and not self._closed:
                self._recovery = asyncio.create_task(self._recover(), name="eventstore recovery")
        elif self._waiting:
            self._schedule(asyncio.get_running_loop())
        self._rest()

    def _rest(self) -> None:
        if not (self._waiting or self._under_way or self._unanswered):
            self._idle.set()

    async def _recover(self) -> None:
        """Send again, one after the other, what has no answer; first of all the oldest."""
        pauses = backoff()
        try:
            while self._unanswered:
                batch = [each for each in self._unanswered[0] if not each.answer.done()]
                outcome = await self._ask(batch)
                if isinstance(outcome, ConnectionLost):
                    await asyncio.sleep(await anext(pauses))
                    continue
                self._unanswered.popleft()
                self._unanswered.extendleft(reversed(_concluded(batch, outcome)))
        finally:
            self._recovery = None
            self._go_on()

    async def _ask(self, batch: Batch[RequestT, AnswerT]) -> Sequence[AnswerT | Exception] | Exception:
        if not batch:
            return []
        asked: asyncio.Future[Sequence[AnswerT | Exception] | Exception] = (
            asyncio.get_running_loop().create_future()
        )

        def hear(outcome: Sequence[AnswerT | Exception] | Exception) -> None:
            if not asked.done():
                asked.set_result(outcome)

        self._sender.begin([each.request for each in batch], hear)
        return await asked

    def _in_the_air(self) -> Iterator[_Pending[RequestT, AnswerT]]:
        """Yield what was sent and not answered, oldest first."""
        for batch in (*self._unanswered, *self._under_way):
            yield from batch

    def _expire(self) -> None:
        """Fail whoever has waited long enough, sent or not; look again when the next one has."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting and self._waiting[0].expires_at <= now:
            each = self._waiting.popleft()
            self._waiting_bytes -= each.size_bytes
            each.fail(StoreUnavailable())
        for each in self._in_the_air():
            if each.expires_at <= now:
                each.fail(StoreUnavailable())
        left = [each.expires_at for each in self._in_the_air() if not each.answer.done()]
        if self._waiting:
            left.append(self._waiting[0].expires_at)
        self._expiry = loop.call_at(min(left), self._expire) if left else None
        self._rest()

    def _fail_waiting(self, error: Exception) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)
        self._waiting_bytes = 0


def _concluded(
    batch: Batch[RequestT, AnswerT], outcome: Sequence[AnswerT | Exception] | Exception
) -> Sequence[Batch[RequestT, AnswerT]]:
    """Tell a batch what became of it; return what is to be sent again.

    The requests of a batch that broke are sent one by one, so that the broken one harms nobody else.
    """
    if not isinstance(outcome, Exception):
        for each, answer in zip(batch, outcome, strict=True):
            each.settle(answer)
        return []
    if len(batch) == 1:
        batch[0].fail(outcome)
        return []
    return [[each] for each in batch]
