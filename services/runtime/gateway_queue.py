"""What a process asked of the gateway and has no answer to yet: bounded, in order, ready to be sent again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from directorybolt.gateway.v1 import append_service_pb2 as wire

from eventstore.errors import AppendQueueFull, StoreUnavailable
from services.runtime.gateway_wire import REQUESTS_PER_MESSAGE_MAX

if TYPE_CHECKING:
    from typing import TypeAlias

    Request: TypeAlias = wire.LedgerAppend | wire.PulseAppend

QUEUE_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 64 * 1_048_576
#: Larger requests share no message, and gain nothing from the gateway either.
MESSAGE_BYTES_MAX: Final = 4 * 1_048_576


class GatewayAway(Exception):
    """The gateway is no way to append now; whether it did what it was asked is unknown."""


@dataclass(eq=False, slots=True)
class _Waiting:
    request: Request
    size_bytes: int
    answer: asyncio.Future[wire.Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class GatewayQueue:
    """Requests on their way to the gateway, by their numbers."""

    def __init__(self, requests_max: int = QUEUE_MAX) -> None:
        self._requests_max = requests_max
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_bytes = 0
        self._unsent: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def next_number(self) -> int:
        """Return the number for a new request."""
        self._number += 1
        return self._number

    async def ask(self, request: Request) -> wire.Answer:
        """Queue a request and return its answer.

        Errors: GatewayAway, AppendQueueFull; StoreUnavailable when the queue is closed.
        """
        if self._closed:
            raise StoreUnavailable("the event store is closed")
        waiting = _Waiting(request, request.ByteSize())
        if waiting.size_bytes > MESSAGE_BYTES_MAX:
            raise GatewayAway
        if len(self) >= self._requests_max or self._waiting_bytes + waiting.size_bytes > QUEUE_BYTES_MAX:
            raise AppendQueueFull
        self._waiting[request.number] = waiting
        self._waiting_bytes += waiting.size_bytes
        self._unsent.append(waiting)
        self._arrived.set()
        try:
            return await waiting.answer
        finally:
            del self._waiting[request.number]
            self._waiting_bytes -= waiting.size_bytes
            if not self._waiting:
                self._emptied.set()

    async def take(self) -> wire.AppendRequest:
        """Wait for something that was not sent, and return as much of it as one message may hold."""
        while True:
            await self._arrived.wait()
            message = self._message()
            if message is not None:
                return message

    def settle(self, response: wire.AppendResponse) -> None:
        """Give answers to who waits for them."""
        for answer in response.answers:
            waiting = self._waiting.get(answer.number)
            if waiting is not None and not waiting.answer.done():
                waiting.answer.set_result(answer)

    def send_again(self) -> None:
        """Count everything without an answer as not sent."""
        self._unsent = deque(self._waiting.values())
        if self._unsent:
            self._arrived.set()

    def give_up(self) -> None:
        """Tell everybody who waits that the gateway is away."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(GatewayAway())

    async def close(self) -> None:
        """Take no more, and return when everything has its answer."""
        self._closed = True
        while self._waiting:
            self._emptied.clear()
            await self._emptied.wait()

    def _message(self) -> wire.AppendRequest | None:
        appends: list[wire.LedgerAppend] = []
        pulses: list[wire.PulseAppend] = []
        size_bytes = 0
        while self._unsent and len(appends) + len(pulses) < REQUESTS_PER_MESSAGE_MAX:
            size_bytes += self._unsent[0].size_bytes
            if size_bytes > MESSAGE_BYTES_MAX:
                break
            waiting = self._unsent.popleft()
            if waiting.answer.done():
                continue
            if isinstance(waiting.request, wire.LedgerAppend):
                appends.append(waiting.request)
            else:
                pulses.append(waiting.request)
        if not self._unsent:
            self._arrived.clear()
        return wire.AppendRequest(appends=appends, pulses=pulses) if appends or pulses else None
