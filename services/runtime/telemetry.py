"""Tracing: set-up, the names of every attribute that we own, and how long work is cut into traces.

A job lives for hours, so its attempts are traces of their own, linked to the trace that created the job and
to the attempt before ("link"). A small job reads better as one trace ("parent"); the demo uses that.
Error texts never go into spans: they can carry what a customer typed.

Source: OpenTelemetry messaging conventions, on links between producers and consumers.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from services.runtime.config import TelemetryConfig, TraceMode

JOB_ID: Final = "directorybolt.job.id"
SUBMISSION_ID: Final = "directorybolt.submission.id"
DISPATCH_ID: Final = "directorybolt.dispatch.id"
DIRECTORY_ID: Final = "directorybolt.directory.id"
WORKER_ID: Final = "directorybolt.worker.id"
ATTEMPT: Final = "directorybolt.attempt.number"
PURPOSE: Final = "directorybolt.attempt.purpose"
OUTCOME: Final = "directorybolt.attempt.outcome"
GAP_RULE: Final = "directorybolt.gap.rule"
GAP_SUBJECT: Final = "directorybolt.gap.subject"
ALERT_ID: Final = "directorybolt.alert.id"
ERROR_REASON: Final = "directorybolt.error.reason"

_EXPORT_SECONDS = 3
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """The tracer provider of the process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    async def close(self) -> None:
        """Send what has not been sent yet; a collector that does not answer is given up on in seconds."""
        await asyncio.to_thread(self._provider.shutdown)


def set_up_tracing(service: str, instance_id: str, config: TelemetryConfig) -> Tracing:
    """Install the process's tracer provider; spans are exported only if an OTLP endpoint is set."""
    resource = Resource.create(
        {
            "service.namespace": "directorybolt",
            "service.name": service,
            "service.instance.id": instance_id,
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if config.otlp_endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_EXPORT_SECONDS)))
    trace.set_tracer_provider(provider)
    return Tracing(provider)


def tracer() -> Tracer:
    """Return the tracer of our own spans."""
    return trace.get_tracer("directorybolt")


def current_trace_parent() -> str:
    """Return the W3C header of the span under way; empty when there is none."""
    return trace_headers().get("traceparent", "")


def trace_headers() -> Mapping[str, str]:
    """Return the W3C headers of the span under way."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def context_from(headers: Mapping[str, str | bytes]) -> Context:
    """Return the context that W3C headers speak of; an empty one when they speak of none."""
    texts = {key: value for key, value in headers.items() if isinstance(value, str)}
    return _PROPAGATOR.extract(texts)


@contextmanager
def start_leg(
    name: str,
    *,
    origin: str,
    mode: TraceMode,
    kind: SpanKind = SpanKind.INTERNAL,
    previous: Sequence[str] = (),
    attributes: Mapping[str, str | int] | None = None,
) -> Generator[Span]:
    """Run a leg of a longer journey: a trace of its own linked to `origin`, or a child of it.

    `origin` and `previous` are W3C headers, as events and messages keep them; empty ones are left out.
    """
    linked = [origin, *previous] if mode == "link" else previous
    parent = context_from({"traceparent": origin if mode == "parent" else ""})
    links = [link for each in linked if (link := _link(each)) is not None]
    with spanning(name, context=parent, kind=kind, links=links, attributes=attributes) as span:
        yield span


@contextmanager
def spanning(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    links: Sequence[Link] = (),
    attributes: Mapping[str, str | int] | None = None,
) -> Generator[Span]:
    """Run a span that notes the type of an error, never its text; a child of the one under way."""
    with tracer().start_as_current_span(
        name,
        context=context,
        kind=kind,
        links=links,
        attributes=dict(attributes or {}),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            mark_failed(span, type(error).__qualname__)
            raise


def mark_failed(span: Span, error_type: str) -> None:
    """Note that the span ended badly."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


def _link(trace_parent: str) -> Link | None:
    context = trace.get_current_span(context_from({"traceparent": trace_parent})).get_span_context()
    return Link(context) if context.is_valid else None
