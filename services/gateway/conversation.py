"""One client's stream: takes what it wants appended, and tells it what became of each, in any order.

Whatever is acknowledged is on disk. When the stream has to end, for its age or because the process drains,
no more is read, and what is under way is answered first; what was sent and not read has no answer, and the
client sends it again elsewhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.gateway.v1 import append_service_pb2 as wire

from eventstore.errors import EventStoreError, StoreUnavailable
from services.domain.errors import FieldViolation, InvalidArgument
from services.runtime.gateway_wire import (
    REQUESTS_PER_MESSAGE_MAX,
    append_from_wire,
    appended_to_wire,
    error_to_wire,
    event_from_wire,
    pulse_answer,
    uuid_from_wire,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

    from eventstore.store import EventStore

#: A client that waits for an answer hears from us this often.
TICK_SECONDS: Final = 0.25
#: What one client may have under way, not told yet included; then nothing more is read from it.
UNDER_WAY_MAX: Final = 1_024
UNDER_WAY_BYTES_MAX: Final = 16 * 1_048_576

_log = structlog.stdlib.get_logger(__name__)


class Conversation:
    """What one client asked for, and what it is still to be told."""

    def __init__(self, store: EventStore, *, age_seconds_max: float, is_gone: Callable[[], bool]) -> None:
        """Take the store, how long the stream may last, and what tells whether the client is gone."""
        self._store = store
        self._age_seconds_max = age_seconds_max
        self._is_gone = is_gone
        self._under_way: set[asyncio.Task[None]] = set()
        self._under_way_bytes = 0
        self._answers: list[wire.Answer] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._tick_is_due = False

    async def answers(
        self, requests: AsyncIterator[wire.AppendRequest]
    ) -> AsyncGenerator[wire.AppendResponse]:
        """Yield answers as they come, until the client ends the stream or it is old.

        Errors: InvalidArgument when a message breaks a limit.
        """
        listening = asyncio.create_task(self._listen(requests), name="gateway listener")
        listening.add_done_callback(lambda _: self._news.set())
        ticking = asyncio.create_task(self._tick(), name="gateway ticker")
        try:
            # The first says that the stream is open.
            yield wire.AppendResponse()
            async for each in self._told_until(listening):
                yield each
            await listening
        except asyncio.CancelledError:
            listening.cancel()
            if not self._is_gone():
                # The process drains: the client is told what it waits for.
                async for each in self._told_until(listening):
                    yield each
            raise
        finally:
            tasks = (listening, ticking, *self._under_way)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _told_until(self, listening: asyncio.Task[None]) -> AsyncGenerator[wire.AppendResponse]:
        """Yield what there is to tell until nobody listens any more and nothing is under way."""
        while not listening.done() or self._under_way or self._answers:
            await self._news.wait()
            self._news.clear()
            if self._answers or self._tick_is_due:
                answers, self._answers, self._tick_is_due = self._answers, [], False
                self._room.set()
                yield wire.AppendResponse(answers=answers)

    async def _listen(self, requests: AsyncIterator[wire.AppendRequest]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._age_seconds_max):
                async for message in requests:
                    _check(message)
                    self._begin(message)
                    while self._is_full():
                        self._room.clear()
                        await self._room.wait()

    def _is_full(self) -> bool:
        count = len(self._under_way) + len(self._answers)
        return count >= UNDER_WAY_MAX or self._under_way_bytes >= UNDER_WAY_BYTES_MAX

    def _begin(self, message: wire.AppendRequest) -> None:
        for append in message.appends:
            self._start(append.number, append.ByteSize(), self._append(append))
        for pulse in message.pulses:
            self._start(pulse.number, pulse.ByteSize(), self._pulse(pulse))

    def _start(self, number: int, size_bytes: int, work: Coroutine[None, None, wire.Answer]) -> None:
        task = asyncio.create_task(self._answer(number, work))
        self._under_way.add(task)
        self._under_way_bytes += size_bytes
        task.add_done_callback(partial(self._finished, size_bytes))

    def _finished(self, size_bytes: int, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._under_way_bytes -= size_bytes
        self._room.set()
        self._news.set()

    async def _answer(self, number: int, work: Coroutine[None, None, wire.Answer]) -> None:
        try:
            answer = await work
        except EventStoreError as error:
            answer = error_to_wire(number, error)
        except Exception as error:  # noqa: BLE001  # one request must not end the stream of all the others
            _log.error("gateway.append_failed", exc_info=error)
            answer = error_to_wire(number, StoreUnavailable("the gateway failed"))
        self._answers.append(answer)

    async def _append(self, request: wire.LedgerAppend) -> wire.Answer:
        return appended_to_wire(request.number, await self._store.append(*append_from_wire(request)))

    async def _pulse(self, request: wire.PulseAppend) -> wire.Answer:
        await self._store.append_pulse(
            uuid_from_wire(request.stream_id),
            request.category,
            uuid_from_wire(request.tenant),
            event_from_wire(request.event),
        )
        return pulse_answer(request.number)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._under_way:
                self._tick_is_due = True
                self._news.set()


def _check(message: wire.AppendRequest) -> None:
    count = len(message.appends) + len(message.pulses)
    if not 1 <= count <= REQUESTS_PER_MESSAGE_MAX:
        description = f"a message holds 1 to {REQUESTS_PER_MESSAGE_MAX} of them, not {count}"
        raise InvalidArgument(FieldViolation("appends", description))
