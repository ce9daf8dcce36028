"""A span for every call, on both sides, that tells the truth about how it ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1 import monitor_service_pb2_grpc as stubs
from opentelemetry.trace import SpanKind, StatusCode

from services.domain import errors as domain
from services.runtime.client import open_channel, peer_errors
from services.runtime.clock import SystemClock
from services.runtime.errors import DeadlinePassed, InternalFault
from services.runtime.interceptors.deadline import deadline_at
from services.runtime.process import serving
from services.runtime.telemetry import current_trace_parent, spanning, start_leg
from tests.doubles.monitor_servicer import ObedientMonitor
from tests.fix_server import SERVICE_KEY, STAFF_KEY, service_of
from tests.fix_tracing import span_collector, spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.fix_tracing import SpanCollector

__all__ = ["span_collector", "spans"]

METHOD = "directorybolt.monitor.v1.MonitorService/GetHealth"
STREAM = "directorybolt.monitor.v1.MonitorService/ReadAll"
ORIGIN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PREVIOUS = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


@pytest.fixture
def monitor() -> ObedientMonitor:
    return ObedientMonitor()


@pytest.fixture
async def channel(monitor: ObedientMonitor) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serving(service_of(monitor)) as ports,
        open_channel(f"127.0.0.1:{ports.grpc_port}", api_key=STAFF_KEY, clock=SystemClock()) as channel,
    ):
        yield channel


def _raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


async def _forever() -> None:
    await asyncio.Event().wait()


def _side(found: Sequence[ReadableSpan], kind: SpanKind) -> ReadableSpan:
    (span,) = [each for each in found if each.kind is kind]
    return span


def _says(span: ReadableSpan) -> tuple[object, object, StatusCode]:
    attributes = span.attributes or {}
    return attributes.get("rpc.status_code"), attributes.get("error.type"), span.status.status_code


UNSET, ERROR = StatusCode.UNSET, StatusCode.ERROR
OUTCOMES = [
    (None, ("OK", None, UNSET), ("OK", None, UNSET)),
    (domain.JobNotFound(), ("NOT_FOUND", None, UNSET), ("NOT_FOUND", "NOT_FOUND", ERROR)),
    (domain.StoreDown(), ("UNAVAILABLE", "UNAVAILABLE", ERROR), ("UNAVAILABLE", "UNAVAILABLE", ERROR)),
    (ValueError("secret text"), ("INTERNAL", "INTERNAL", ERROR), ("INTERNAL", "INTERNAL", ERROR)),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome[0]).__name__)
async def test_both_sides_say_how_a_call_ended(
    monitor: ObedientMonitor, channel: grpc.aio.Channel, spans: SpanCollector, outcome: Any
) -> None:
    failure, server, client = outcome
    monitor.on_call = None if failure is None else _raising(failure)
    call: Any = stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest())
    await asyncio.gather(call, return_exceptions=True)
    found = await spans.reached(2)
    assert _says(_side(found, SpanKind.CLIENT)) == client
    assert {_says(each) for each in found if each.kind is SpanKind.SERVER} == {server}
    assert {each.name for each in found} == {METHOD}
    assert "secret text" not in str([each.to_json() for each in found])


async def test_a_passed_deadline_is_an_error_on_both_sides(
    monitor: ObedientMonitor, channel: grpc.aio.Channel, spans: SpanCollector
) -> None:
    monitor.on_call = _forever
    with pytest.raises(DeadlinePassed), peer_errors():
        await stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest(), timeout=0.1)
    found = await spans.reached(2)
    expected = ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", StatusCode.ERROR)
    assert [_says(each) for each in found] == [expected, expected]


async def test_a_call_that_the_client_drops_is_cancelled_and_exported(
    monitor: ObedientMonitor, channel: grpc.aio.Channel, spans: SpanCollector
) -> None:
    monitor.on_call = _forever
    call: Any = stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest())
    waiting = asyncio.ensure_future(call)
    await monitor.started.wait()
    call.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    found = await spans.reached(2)
    assert _says(_side(found, SpanKind.SERVER)) == ("CANCELLED", None, StatusCode.UNSET)
    assert _says(_side(found, SpanKind.CLIENT)) == ("CANCELLED", "CANCELLED", StatusCode.ERROR)


async def test_a_stream_that_the_client_drops_is_cancelled_and_exported(
    channel: grpc.aio.Channel, spans: SpanCollector
) -> None:
    stream: Any = stubs.MonitorServiceStub(channel).ReadAll(pb.ReadAllRequest(follow=True))
    async for _ in stream:
        break
    stream.cancel()
    found = await spans.reached(2)
    assert {each.name for each in found} == {STREAM}
    assert _says(_side(found, SpanKind.SERVER)) == ("CANCELLED", None, StatusCode.UNSET)
    assert _says(_side(found, SpanKind.CLIENT)) == ("CANCELLED", "CANCELLED", StatusCode.ERROR)


async def test_an_unknown_method_has_a_name_of_few_values(channel: Any, spans: SpanCollector) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary("/made.up/Name")(b"")
    span = _side(await spans.reached(2), SpanKind.SERVER)
    assert span.name == "_OTHER"
    assert _says(span) == ("UNIMPLEMENTED", "UNIMPLEMENTED", StatusCode.ERROR)


async def test_the_callers_trace_goes_on_in_the_server_and_in_what_it_appends(
    monitor: ObedientMonitor, channel: grpc.aio.Channel, spans: SpanCollector
) -> None:
    inside: list[str] = []

    async def look() -> None:
        inside.append(current_trace_parent())

    monitor.on_call = look
    with spanning("order"):
        await stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest())
    found = await spans.reached(3)
    client, server = _side(found, SpanKind.CLIENT), _side(found, SpanKind.SERVER)
    assert server.parent is not None
    assert client.context is not None
    assert server.context is not None
    assert server.parent.span_id == client.context.span_id
    assert len({each.context.trace_id for each in found if each.context}) == 1
    assert inside[0][3:52] == f"{server.context.trace_id:032x}-{server.context.span_id:016x}"


async def test_probes_leave_no_spans(channel: Any, spans: SpanCollector) -> None:
    await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
    (span,) = await spans.reached(1)
    assert span.kind is SpanKind.CLIENT


async def test_only_trouble_is_tried_again_and_answers_in_the_end(
    monitor: ObedientMonitor, channel: grpc.aio.Channel
) -> None:
    tries = 0

    async def fail_twice() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise domain.StoreDown

    monitor.on_call = fail_twice
    stub = stubs.MonitorServiceStub(channel)
    assert (await stub.GetHealth(pb.GetHealthRequest())).score == 100
    tries = 0
    monitor.on_call = _raising(domain.StreamMovedOn())
    with pytest.raises(domain.StreamMovedOn), peer_errors():
        await stub.GetHealth(pb.GetHealthRequest())
    monitor.on_call = _raising(ValueError())
    with pytest.raises(InternalFault), peer_errors():
        await stub.GetHealth(pb.GetHealthRequest())


async def test_a_call_inside_of_a_call_ends_before_it(monitor: ObedientMonitor) -> None:
    leaf = ObedientMonitor()
    left: list[float] = []

    async def note() -> None:
        ends_at = deadline_at()
        assert ends_at is not None
        left.append(ends_at - SystemClock().monotonic())

    async with (
        serving(service_of(leaf)) as leaf_ports,
        serving(service_of(monitor)) as ports,
        open_channel(f"127.0.0.1:{ports.grpc_port}", api_key=STAFF_KEY, clock=SystemClock()) as outer,
        open_channel(f"127.0.0.1:{leaf_ports.grpc_port}", api_key=SERVICE_KEY, clock=SystemClock()) as inner,
    ):

        async def call_on() -> None:
            await note()
            await stubs.MonitorServiceStub(inner).GetHealth(pb.GetHealthRequest(), timeout=500)

        monitor.on_call, leaf.on_call = call_on, note
        await stubs.MonitorServiceStub(outer).GetHealth(pb.GetHealthRequest(), timeout=5)
    assert 0 < left[1] < left[0] - 0.04 < 5


async def test_an_address_where_nobody_listens_is_trouble() -> None:
    async with open_channel("127.0.0.1:1", api_key=STAFF_KEY, clock=SystemClock()) as channel:
        with pytest.raises(domain.Trouble), peer_errors():
            await stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest(), timeout=2)


def test_a_leg_is_a_trace_of_its_own_linked_to_where_it_comes_from(spans: SpanCollector) -> None:
    with start_leg("attempt", origin=ORIGIN, mode="link", previous=[PREVIOUS, "", "rubbish"]):
        pass
    (span,) = spans.finished
    assert span.parent is None
    assert [f"{each.context.span_id:016x}" for each in span.links] == [ORIGIN[36:52], PREVIOUS[36:52]]


def test_a_leg_of_a_small_job_is_a_child(spans: SpanCollector) -> None:
    with start_leg("attempt", origin=ORIGIN, mode="parent", previous=[PREVIOUS], attributes={"a": 1}):
        assert current_trace_parent().startswith(ORIGIN[:36])
    (span,) = spans.finished
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == ORIGIN[36:52]
    assert [f"{each.context.span_id:016x}" for each in span.links] == [PREVIOUS[36:52]]
    assert span.attributes == {"a": 1}


def test_a_failed_span_names_the_kind_of_error_and_not_its_text(spans: SpanCollector) -> None:
    with pytest.raises(ValueError, match="secret text"), spanning("work"):
        raise ValueError("secret text")
    (span,) = spans.finished
    assert (span.attributes, span.status.status_code) == ({"error.type": "ValueError"}, StatusCode.ERROR)
    assert "secret text" not in span.to_json()
