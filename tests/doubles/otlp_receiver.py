"""What a trace viewer is to the mesh: takes spans in over OTLP/gRPC and keeps them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as a viewer gets it; ids are hexadecimal, `parent_id` of a root is empty."""

    name: str
    kind: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    #: Trace and span id of each span that it is linked to.
    links: Sequence[tuple[str, str]]
    attributes: Mapping[str, str]
    #: All texts that it carries, resource and events included.
    texts: Sequence[str]
    began: int
    ended: int
    failed: bool


class OtlpReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: list[ReceivedSpan] = []

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002  # gRPC's own signature
        """Take spans in."""
        exported: trace_service_pb2.ExportTraceServiceRequest = request
        for of_process in exported.resource_spans:
            resource = _attributes(of_process.resource.attributes)
            for scope in of_process.scope_spans:
                self.spans.extend(_received(span, resource) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


def _received(span: trace_pb2.Span, resource: Mapping[str, str]) -> ReceivedSpan:
    attributes = _attributes(span.attributes)
    return ReceivedSpan(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        service=resource["service.name"],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=[(each.trace_id.hex(), each.span_id.hex()) for each in span.links],
        attributes=attributes,
        texts=[span.name, span.status.message, *attributes.values(), *resource.values(), *_events(span)],
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _events(span: trace_pb2.Span) -> Iterator[str]:
    for event in span.events:
        yield event.name
        yield from _attributes(event.attributes).values()


def _attributes(pairs: Any) -> dict[str, str]:
    return {pair.key: str(getattr(pair.value, pair.value.WhichOneof("value"))) for pair in pairs}


@asynccontextmanager
async def receiving() -> AsyncGenerator[OtlpReceiver]:
    """Run a receiver on a free port."""
    server = grpc.aio.server()
    receiver = OtlpReceiver()
    untyped: Any = trace_service_pb2_grpc
    untyped.add_TraceServiceServicer_to_server(receiver, server)
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield receiver
    finally:
        await server.stop(None)
