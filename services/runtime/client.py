"""Channels to services: round robin, retries where they are safe, keys, deadlines and traces.

Only UNAVAILABLE is retried, and not CreateApiKey, whose first answer may have been lost with its secret.
Every call has a deadline: its own, or ours, but never later than that of the call that caused it.

Source: AIP-194; gRFC A6.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

import grpc
from opentelemetry.trace import SpanKind, use_span

from services.runtime.errors import domain_error_from
from services.runtime.health import ACCEPTING
from services.runtime.interceptors.deadline import deadline_at
from services.runtime.server import REQUEST_BYTES_MAX
from services.runtime.telemetry import mark_failed, trace_headers, tracer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping

    from opentelemetry.trace import Span

    from services.runtime.clock import Clock

Q = TypeVar("Q")
A = TypeVar("A")

DEFAULT_SECONDS: Final = 10.0
_MARGIN_SECONDS: Final = 0.05
_LEAST_SECONDS: Final = 0.001

_NOTHING: Final[Mapping[str, str]] = {}
_SERVICE_CONFIG: Final[Mapping[str, object]] = {
    "loadBalancingConfig": [{"round_robin": _NOTHING}],
    "methodConfig": [
        {
            "name": [_NOTHING],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
        {"name": [{"service": "directorybolt.intake.v1.IntakeService", "method": "CreateApiKey"}]},
    ],
    # A process that drains says so before it closes its listener; then calls go elsewhere.
    "healthCheckConfig": {"serviceName": ACCEPTING},
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
}


def open_channel(
    address: str, *, api_key: str, clock: Clock, default_seconds: float = DEFAULT_SECONDS
) -> grpc.aio.Channel:
    """Return a channel to a service; use it in `async with`, or close it."""
    about = _About(api_key, clock, default_seconds)
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
            ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
        interceptors=[_AroundUnary(about), _AroundStream(about)],
    )


@contextmanager
def peer_errors() -> Generator[None]:
    """Raise what a peer answers as the domain error that it meant."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise domain_error_from(error) from error


class _About:
    """What every call of a channel is given."""

    def __init__(self, api_key: str, clock: Clock, default_seconds: float) -> None:
        self._api_key = api_key
        self._clock = clock
        self._default_seconds = default_seconds

    def outfit(self, details: grpc.aio.ClientCallDetails, *, streams: bool) -> grpc.aio.ClientCallDetails:
        """Return the call's details with key, trace and deadline."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if self._api_key and "authorization" not in metadata:
            metadata.add("authorization", f"Bearer {self._api_key}")
        for key, value in trace_headers().items():
            metadata.add(key, value)
        timeout = self._timeout(details.timeout, streams=streams)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )

    def _timeout(self, own: float | None, *, streams: bool) -> float | None:
        if own is None and not streams:
            own = self._default_seconds
        ends_at = deadline_at()
        if ends_at is None:
            return own
        left = max(_LEAST_SECONDS, ends_at - self._clock.monotonic() - _MARGIN_SECONDS)
        return left if own is None else min(own, left)


class _AroundUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """Traces and outfits calls with one answer."""

    def __init__(self, about: _About) -> None:
        self._about = about

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Q], Awaitable[grpc.aio.UnaryUnaryCall[Q, A]]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Q,
    ) -> grpc.aio.UnaryUnaryCall[Q, A]:
        """Make the call in a CLIENT span."""
        span = _span(client_call_details)
        with use_span(span):
            call = await continuation(self._about.outfit(client_call_details, streams=False), request)
        await _end_with(span, call)
        return call


class _AroundStream(grpc.aio.UnaryStreamClientInterceptor):
    """Traces and outfits calls with a stream of answers."""

    def __init__(self, about: _About) -> None:
        self._about = about
        self._watches: set[asyncio.Task[None]] = set()

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Q], Awaitable[grpc.aio.UnaryStreamCall[Q, A]]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Q,
    ) -> AsyncIterator[A] | grpc.aio.UnaryStreamCall[Q, A]:
        """Make the call in a CLIENT span that ends with the stream."""
        span = _span(client_call_details)
        with use_span(span):
            call = await continuation(self._about.outfit(client_call_details, streams=True), request)
        watch = asyncio.create_task(_end_with(span, call))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return call


def _span(details: grpc.aio.ClientCallDetails) -> Span:
    method = cast("str | bytes", details.method)
    name = (method.decode() if isinstance(method, bytes) else method).lstrip("/")
    return tracer().start_span(
        name, kind=SpanKind.CLIENT, attributes={"rpc.system.name": "grpc", "rpc.method": name}
    )


async def _end_with(span: Span, call: grpc.aio.Call) -> None:
    code = grpc.StatusCode.CANCELLED
    try:
        code = await call.code()
    except asyncio.CancelledError:
        call.cancel()
        raise
    finally:
        span.set_attribute("rpc.status_code", code.name)
        if code is not grpc.StatusCode.OK:
            mark_failed(span, code.name)
        span.end()
