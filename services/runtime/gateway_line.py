"""The stream to the gateway, kept up: begun again when it ends, given up when it stays away.

A stream that breaks leaves open whether an append was written. It is sent again, with the same event ids,
when the stream is back soon; after that whoever waits, and whoever comes until it is back, is told
that the gateway is away. A frozen gateway is known by its silence: while an answer takes its time, a living
one says four times in a second that it lives.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

import grpc
import structlog
from directorybolt.gateway.v1 import append_service_pb2 as wire
from directorybolt.gateway.v1.append_service_pb2_grpc import AppendServiceStub

from eventstore.connections import backoff
from services.runtime.gateway_queue import GatewayAway, GatewayQueue
from services.runtime.server import REQUEST_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import TypeAlias

    from services.runtime.gateway_queue import Request

    Stream: TypeAlias = grpc.aio.StreamStreamCall[wire.AppendRequest, wire.AppendResponse]

#: How long a stream may be gone before appends go another way.
GONE_SECONDS_MAX: Final = 0.5
OPEN_SECONDS_MAX: Final = 2.0
#: So often it is looked whether the gateway said something, and so often in a row it may have said nothing.
LOOK_SECONDS: Final = 0.25
SILENT_LOOKS_MAX: Final = 4
DRAIN_SECONDS_MAX: Final = 5.0
_PAUSE_SECONDS_MAX: Final = 1.0

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_log = structlog.stdlib.get_logger(__name__)


class _Silent(Exception):
    """The gateway has said nothing for too long."""


class GatewayLine:
    """A queue in front of the gateway's stream."""

    def __init__(self, stub: AppendServiceStub, service_key: str) -> None:
        self._stub = stub
        self._metadata = grpc.aio.Metadata(("authorization", f"Bearer {service_key}"))
        self._queue = GatewayQueue()
        self._heard = False
        self._away = False
        self._gone: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, service_key: str) -> AsyncGenerator[Self]:
        """Keep a stream to the gateway inside of the context; on leaving, what waits is answered first.

        Units: on entering, a gateway that is not there is waited for OPEN_SECONDS_MAX.
        """
        async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
            line = cls(AppendServiceStub(channel), service_key)
            keeping = asyncio.create_task(line._keep(), name="gateway line")
            try:
                await line._settled.wait()
                yield line
            finally:
                with suppress(TimeoutError):
                    await asyncio.wait_for(line._queue.close(), DRAIN_SECONDS_MAX)
                await _ended(keeping)
                line._away = True
                line._queue.give_up()

    @property
    def is_away(self) -> bool:
        """Whether appends have to go another way."""
        return self._away

    def next_number(self) -> int:
        """Return the number for a new request."""
        return self._queue.next_number()

    async def ask(self, request: Request) -> wire.Answer:
        """Send a request and return its answer.

        Errors: GatewayAway, AppendQueueFull; StoreUnavailable when the line is closed.
        """
        if self._away:
            raise GatewayAway
        return await self._queue.ask(request)

    async def _keep(self) -> None:
        """Hold one stream after the other."""
        pauses = backoff(seconds_max=_PAUSE_SECONDS_MAX)
        self._note_gone(OPEN_SECONDS_MAX)
        while True:
            self._note_gone(GONE_SECONDS_MAX)
            opened = False
            try:
                async with self._opened() as stream:
                    opened = True
                    self._welcome()
                    await self._converse(stream)
            except _Silent:
                self._give_up("silent")
            except Exception as error:  # noqa: BLE001  # the line outlives whatever a stream does
                if not self._away:
                    _log.info("gateway.stream_broke", error=_words(error))
            self._queue.send_again()
            if opened:
                pauses = backoff(seconds_max=_PAUSE_SECONDS_MAX)
            await asyncio.sleep(await anext(pauses))

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Stream]:
        stream = self._stub.Append(metadata=self._metadata, wait_for_ready=True)
        try:
            async with asyncio.timeout(OPEN_SECONDS_MAX):
                if not isinstance(await stream.read(), wire.AppendResponse):
                    raise ConnectionError("the gateway ended the stream before it began")
            yield stream
        finally:
            stream.cancel()

    async def _converse(self, stream: Stream) -> None:
        """Send and receive until the gateway ends the stream.

        Errors: AioRpcError when it broke; _Silent.
        """
        tasks = [
            asyncio.create_task(each) for each in (self._receive(stream), self._send(stream), self._look())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in tasks:
                if each.done():
                    each.result()
        finally:
            await _ended(*tasks)

    async def _send(self, stream: Stream) -> None:
        while True:
            await stream.write(await self._queue.take())

    async def _receive(self, stream: Stream) -> None:
        while isinstance(response := await stream.read(), wire.AppendResponse):
            self._heard = True
            self._queue.settle(response)

    async def _look(self) -> None:
        """Raise when the gateway is silent for too long, counted in looks: it may be us who were frozen."""
        silent_looks = 0
        while silent_looks < SILENT_LOOKS_MAX:
            self._heard = False
            await asyncio.sleep(LOOK_SECONDS)
            silent_looks = 0 if self._heard or not len(self._queue) else silent_looks + 1
        raise _Silent

    def _welcome(self) -> None:
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None
        self._settled.set()
        if self._away:
            self._away = False
            _log.info("gateway.back")

    def _note_gone(self, seconds_max: float) -> None:
        if self._gone is None and not self._away:
            loop = asyncio.get_running_loop()
            self._gone = loop.call_later(seconds_max, self._give_up, "unreachable")

    def _give_up(self, reason: str) -> None:
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None
        if not self._away:
            self._away = True
            _log.warning("gateway.away", reason=reason)
        self._settled.set()
        self._queue.give_up()


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _words(error: BaseException) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
