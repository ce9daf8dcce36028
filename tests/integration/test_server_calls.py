"""What a caller meets: keys, limits, masked errors, deadlines; every refusal says why in ErrorInfo."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1 import monitor_service_pb2_grpc as stubs
from google.rpc import error_details_pb2, status_pb2

from services.domain import errors as domain
from services.domain.errors import FieldViolation
from services.runtime.errors import DETAILS_KEY
from services.runtime.principal import Kind, current_principal
from services.runtime.process import serving
from services.runtime.server import REQUEST_BYTES_MAX, Connections
from tests.doubles.manual_clock import ManualClock
from tests.doubles.monitor_servicer import ObedientMonitor
from tests.fix_server import (
    CUSTOMER_ID,
    CUSTOMER_KEY,
    SERVICE_KEY,
    STAFF_KEY,
    bearer,
    raw_method,
    served,
    service_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

STAFF = bearer(STAFF_KEY)
DSN = "postgres://admin:hunter2@db.internal/bolt"


@pytest.fixture
def monitor() -> ObedientMonitor:
    return ObedientMonitor()


def _health(channel: grpc.aio.Channel, metadata: Any = STAFF, **more: Any) -> Awaitable[Any]:
    return stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest(), metadata=metadata, **more)


async def _refusal(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def _details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers[DETAILS_KEY])  # pyright: ignore[reportArgumentType]
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.QuotaFailure,
    )
    found: dict[str, Any] = {}
    for kind in kinds:
        detail = kind()
        if any(each.Unpack(detail) for each in status.details):
            found[kind.__name__] = detail
    info = found["ErrorInfo"]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", info.reason)
    assert info.domain == "directorybolt"
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return found


def _reason(error: grpc.aio.AioRpcError) -> str:
    return str(_details(error)["ErrorInfo"].reason)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        bearer(""),
        bearer("dbk_unknown0_" + "x" * 43),
        bearer(STAFF_KEY[:-1]),
        bearer(STAFF_KEY + "s"),
        (("authorization", f"Basic {STAFF_KEY}"),),
        (("authorization", STAFF_KEY),),
        (("x-api-key", STAFF_KEY),),
    ],
)
async def test_without_a_good_key_nobody_comes_in(monitor: ObedientMonitor, metadata: Any) -> None:
    async with served(monitor) as (_, channel):
        refused = await _refusal(_health(channel, metadata))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert _reason(refused) == "API_KEY_INVALID"
    assert not monitor.started.is_set()


@pytest.mark.parametrize(
    ("key", "kind", "customer_id"),
    [
        (STAFF_KEY, Kind.STAFF, None),
        (SERVICE_KEY, Kind.SERVICE, None),
        (CUSTOMER_KEY, Kind.CUSTOMER, CUSTOMER_ID),
    ],
)
async def test_a_handler_knows_who_calls(
    monitor: ObedientMonitor, key: str, kind: Kind, customer_id: Any
) -> None:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(current_principal())

    monitor.on_call = look
    async with served(monitor) as (_, channel):
        await _health(channel, bearer(key))
        with pytest.raises(domain.ApiKeyInvalid):
            current_principal()
    assert (seen[0].kind, seen[0].customer_id) == (kind, customer_id)


@pytest.mark.parametrize("key", [CUSTOMER_KEY, SERVICE_KEY])
async def test_what_is_staffs_is_refused_to_others(monitor: ObedientMonitor, key: str) -> None:
    async with served(monitor) as (_, channel):
        stub = stubs.MonitorServiceStub(channel)
        refused = await _refusal(stub.VerifyLog(pb.VerifyLogRequest(), metadata=bearer(key)))
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
        assert _reason(refused) == "SCOPE_MISSING"
        await stub.VerifyLog(pb.VerifyLogRequest(), metadata=STAFF)


@pytest.mark.parametrize(
    "failure",
    [
        ValueError(DSN),
        RuntimeError(DSN),
        AssertionError(DSN),
        ExceptionGroup(DSN, [KeyError(DSN)]),
        TimeoutError(DSN),
        asyncio.CancelledError(DSN),
        domain.DomainError(DSN),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_the_text_of_a_fault_stays_inside(monitor: ObedientMonitor, failure: BaseException) -> None:
    async def fail() -> None:
        raise failure

    monitor.on_call = fail
    log = io.StringIO()
    async with served(monitor) as (_, channel):
        stub = stubs.MonitorServiceStub(channel)
        with redirect_stdout(log):
            for call in (_health(channel), _drained(stub.ReadAll(pb.ReadAllRequest(), metadata=STAFF))):
                refused = await _refusal(call)
                assert refused.code() is grpc.StatusCode.INTERNAL
                assert "hunter2" not in repr(refused)
                reference = _details(refused)["ErrorInfo"].metadata["reference"]
                assert refused.details() == f"internal error ({reference})"
                assert log.getvalue().count(reference) == 1


async def _drained(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_a_refusal_of_the_domain_goes_out_as_it_is(monitor: ObedientMonitor) -> None:
    async def refuse() -> None:
        raise domain.InvalidProfile(
            FieldViolation("business.name", "must not be empty"),
            FieldViolation("business.phone", "too short"),
        )

    monitor.on_call = refuse
    async with served(monitor) as (_, channel):
        refused = await _refusal(_health(channel))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = _details(refused)
    assert details["ErrorInfo"].reason == "INVALID_PROFILE"
    assert [each.field for each in details["BadRequest"].field_violations] == [
        "business.name",
        "business.phone",
    ]


async def test_a_method_that_is_not_there_is_unimplemented(monitor: ObedientMonitor) -> None:
    async with served(monitor) as (_, channel):
        for path in ("/directorybolt.monitor.v1.MonitorService/Nothing", "/no.such.Service/Method"):
            refused = await _refusal(raw_method(channel, path)(b""))
            assert refused.code() is grpc.StatusCode.UNIMPLEMENTED
            assert refused.details() == "Method not found!"
            assert _reason(refused) == "METHOD_NOT_FOUND"


async def test_a_request_that_does_not_decode_is_the_callers_fault(monitor: ObedientMonitor) -> None:
    async with served(monitor) as (_, channel):
        for name in ("GetHealth", "ReadAll"):
            path = f"/directorybolt.monitor.v1.MonitorService/{name}"
            refused = await _refusal(raw_method(channel, path)(b"\xff\xff\xff", metadata=STAFF))
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert _reason(refused) == "INVALID_ARGUMENT"


def _raw_request(total_bytes: int) -> bytes:
    """Return a message of one text field that is so many bytes long; its own length takes four of them."""
    text_bytes = total_bytes - 5
    more = [text_bytes >> shift & 0x7F | 0x80 for shift in (0, 7, 14)]
    return bytes([0x0A, *more, text_bytes >> 21]) + b"x" * text_bytes


async def test_ten_mebibytes_pass_and_one_byte_more_does_not(monitor: ObedientMonitor) -> None:
    async with served(monitor) as (_, channel):
        read = raw_method(channel, "/directorybolt.monitor.v1.MonitorService/ReadStream")
        answer = pb.ReadStreamResponse.FromString(await read(_raw_request(REQUEST_BYTES_MAX), metadata=STAFF))
        assert answer.stream_version == REQUEST_BYTES_MAX - 5
        refused = await _refusal(read(_raw_request(REQUEST_BYTES_MAX + 1), metadata=STAFF))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_small_message_that_unpacks_to_a_big_one_is_refused(monitor: ObedientMonitor) -> None:
    bomb = b"x" * (50 * 1024 * 1024)
    assert len(gzip.compress(bomb[: 1024 * 1024])) < 2_000
    async with (
        served(monitor) as (ports, _),
        grpc.aio.insecure_channel(
            f"127.0.0.1:{ports.grpc_port}",
            compression=grpc.Compression.Gzip,
            options=[("grpc.max_send_message_length", -1)],
        ) as channel,
    ):
        read = raw_method(channel, "/directorybolt.monitor.v1.MonitorService/ReadStream")
        refused = await _refusal(read(bomb, metadata=STAFF))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_without_a_deadline_gets_one(monitor: ObedientMonitor) -> None:
    monitor.on_call = asyncio.Event().wait  # pyright: ignore[reportAttributeAccessIssue]
    async with served(monitor, deadline_seconds=0.05) as (_, channel):
        refused = await _refusal(_health(channel))
        assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert _reason(refused) == "DEADLINE_EXCEEDED"
        assert monitor.in_flight == 0


async def test_a_stream_without_a_deadline_goes_on(monitor: ObedientMonitor) -> None:
    async with served(monitor, deadline_seconds=0.01) as (_, channel):
        stream: Any = stubs.MonitorServiceStub(channel).ReadAll(
            pb.ReadAllRequest(follow=True), metadata=STAFF
        )
        await stream.read()
        _, pending = await asyncio.wait({asyncio.ensure_future(stream.read())}, timeout=0.1)
        assert len(pending) == 1
        stream.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def test_the_hundred_and_first_call_in_a_minute_waits(monitor: ObedientMonitor) -> None:
    clock = ManualClock()
    async with served(monitor, per_minute=100, clock=clock) as (_, channel):
        for _ in range(100):
            await _health(channel)
        await clock.advance(20)
        refused = await _refusal(_health(channel))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        details = _details(refused)
        assert details["ErrorInfo"].reason == "RATE_LIMITED"
        assert dict(details["ErrorInfo"].metadata)["limit"] == "100"
        assert details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() == 40
        assert details["QuotaFailure"].violations[0].subject == "clientip:127.0.0.1"
        await clock.advance(40)
        await _health(channel)


async def test_bad_keys_count_and_do_not_reach_the_key_table(monitor: ObedientMonitor) -> None:
    asked = 0

    async def verify(_: object) -> None:
        nonlocal asked
        asked += 1

    async with (
        serving(replace(service_of(monitor, per_minute=5), verify_key=verify)) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc_port}") as channel,
    ):
        reasons = [
            _reason(await _refusal(_health(channel, bearer(f"dbk_unknown{n}_" + "x" * 43)))) for n in range(9)
        ]
    assert reasons == ["API_KEY_INVALID"] * 5 + ["RATE_LIMITED"] * 4
    assert asked == 5


async def test_the_limit_is_not_for_services_nor_for_health(monitor: ObedientMonitor) -> None:
    async with served(monitor, per_minute=3) as (_, channel):
        for _ in range(10):
            await _health(channel, bearer(SERVICE_KEY))
            await raw_method(channel, "/grpc.health.v1.Health/Check")(b"")
        refused = [await _refusal(_health(channel, bearer(SERVICE_KEY + "x"))) for _ in range(4)]
        assert _reason(refused[-1]) == "RATE_LIMITED"


async def test_a_forged_address_changes_nothing(monitor: ObedientMonitor) -> None:
    async with served(monitor, per_minute=2) as (_, channel):
        for number in range(2):
            await _health(channel, (*STAFF, ("x-forwarded-for", f"192.0.2.{number}")))
        refused = await _refusal(_health(channel, (*STAFF, ("x-forwarded-for", "192.0.2.9"))))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_full_process_refuses_and_still_answers_for_its_health(monitor: ObedientMonitor) -> None:
    open_gate = asyncio.Event()

    async def wait() -> None:
        await open_gate.wait()

    monitor.on_call = wait
    async with served(monitor, calls_max=4) as (_, channel):
        for _ in range(3):
            open_gate.clear()
            calls = [asyncio.ensure_future(_health(channel)) for _ in range(16)]
            done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 12:
                more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                done |= more
            for call in done:
                refused = call.exception()
                assert isinstance(refused, grpc.aio.AioRpcError)
                assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                details = _details(refused)
                assert details["ErrorInfo"].reason == "OVERLOADED"
                assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
            await raw_method(channel, "/grpc.health.v1.Health/Check")(b"", timeout=1)
            open_gate.set()
            await asyncio.gather(*pending)
    assert monitor.in_flight_most == 4


async def test_cancelled_streams_leave_nothing_behind(monitor: ObedientMonitor) -> None:
    async with served(monitor, streams_max=1) as (_, channel):
        stub = stubs.MonitorServiceStub(channel)
        for count in range(1, 301):
            stream: Any = stub.ReadAll(pb.ReadAllRequest(follow=True), metadata=STAFF)
            await stream.read()
            stream.cancel()
            await monitor.streams_ended.reached(count)


async def test_old_connections_are_closed_without_an_error(monitor: ObedientMonitor) -> None:
    connections = Connections(age_max_seconds=0.3, age_grace_seconds=2)
    peers: set[str] = set()

    async def look() -> None:
        assert monitor.context is not None
        peers.add(monitor.context.peer())

    monitor.on_call = look
    async with served(monitor, per_minute=1_000_000, connections=connections) as (_, channel):
        async with asyncio.timeout(30):
            while len(peers) < 3:
                await _health(channel)


async def test_two_servers_on_one_port_fail_loudly(monitor: ObedientMonitor) -> None:
    async with served(monitor) as (ports, _):
        service = service_of(ObedientMonitor())
        again = replace(service, config=replace(service.config, grpc_port=ports.grpc_port))
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{ports.grpc_port}"):
            async with serving(again):
                pass
