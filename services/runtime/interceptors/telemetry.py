"""A span and a line in the access log for every call, whatever way it ends.

The ready-made instrumentation reports uncaught errors and deadlines as success, loses cancelled streams
and knows only the old attribute names, so this is our own.

Source: OpenTelemetry semantic conventions for RPC (release candidate).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

import grpc
import structlog
from opentelemetry.trace import SpanKind, format_trace_id

from services.domain.errors import DomainError
from services.runtime.access import is_open
from services.runtime.errors import CODES, as_domain_error
from services.runtime.interceptors.rate_limit import address_of
from services.runtime.principal import current_principal
from services.runtime.telemetry import ERROR_REASON, context_from, mark_failed, tracer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.trace import Span

    from services.runtime.clock import Clock
    from services.runtime.interceptors.layer import Call

UNKNOWN_METHOD: Final = "_OTHER"
SERVER_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)

_log = structlog.stdlib.get_logger("directorybolt.access")


class Telemetry:
    """Traces and logs calls; health and reflection are too many and too dull."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Run the call in a span."""
        if is_open(call.method):
            yield
            return
        name = call.method if call.known else UNKNOWN_METHOD
        began = self._clock.monotonic()
        with tracer().start_as_current_span(
            name,
            context=context_from(call.metadata),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": name},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            call.trace_id = _trace_id(span)
            error: BaseException | None = None
            try:
                yield
            except BaseException as raised:
                error = raised
                raise
            finally:
                self._finish(call, span, error, self._clock.monotonic() - began)

    def _finish(self, call: Call, span: Span, error: BaseException | None, seconds: float) -> None:
        code = _code(call, error)
        span.set_attribute("rpc.status_code", code.name)
        reason = error.reason if isinstance(error, DomainError) and type(error) in CODES else ""
        if reason:
            span.set_attribute(ERROR_REASON, reason)
        if code in SERVER_FAULTS:
            mark_failed(span, code.name)
        _log.info(
            "rpc.call",
            method=call.method if call.known else UNKNOWN_METHOD,
            code=code.name,
            reason=reason,
            duration_ms=round(seconds * 1000, 2),
            address=address_of(call.context.peer()),
            actor=_actor(),
        )


def _code(call: Call, error: BaseException | None) -> grpc.StatusCode:
    if error is None:
        # Set by a handler only if it is not OK; gRPC gives the bare number then.
        value = cast("grpc.StatusCode | int | None", call.context.code())
        return next((each for each in grpc.StatusCode if value in (each, each.value[0])), grpc.StatusCode.OK)
    if isinstance(error, asyncio.CancelledError):
        remaining = cast("float | None", call.context.time_remaining())
        timed_out = remaining is not None and remaining <= 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if timed_out else grpc.StatusCode.CANCELLED
    domain_error = as_domain_error(error)
    return grpc.StatusCode.INTERNAL if domain_error is None else CODES[type(domain_error)]


def _trace_id(span: Span) -> str:
    context = span.get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


def _actor() -> str:
    with suppress(DomainError):
        return current_principal().actor
    return ""
