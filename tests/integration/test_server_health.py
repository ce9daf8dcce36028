"""Health and reflection: every watcher hears, and tools that know only one version of reflection work."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1 import monitor_service_pb2_grpc as stubs
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.process import serving
from tests.doubles.monitor_servicer import FULL_NAME, ObedientMonitor
from tests.fix_server import STAFF_KEY, bearer, served, service_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.runtime.process import Serving

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
V1, V1_ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


@pytest.fixture
async def ports() -> AsyncIterator[Serving]:
    async with serving(service_of(ObedientMonitor())) as ports:
        yield ports


def _stub(channel: grpc.aio.Channel) -> Any:
    untyped: Any = health_pb2_grpc
    return untyped.HealthStub(channel)


def _asking(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def _tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


async def test_a_watcher_hears_of_it_when_another_has_left(ports: Serving) -> None:
    address = f"127.0.0.1:{ports.health_port}"
    async with grpc.aio.insecure_channel(address) as one, grpc.aio.insecure_channel(address) as two:
        leaving, staying = _stub(one).Watch(_asking("")), _stub(two).Watch(_asking(""))
        assert (await leaving.read()).status == SERVING
        assert (await staying.read()).status == SERVING
        leaving.cancel()
        assert await leaving.code() is grpc.StatusCode.CANCELLED
        ports.health.set_serving(False)
        async with asyncio.timeout(1):
            assert (await staying.read()).status == NOT_SERVING


async def test_a_watcher_hears_of_its_own_service_only_and_only_of_changes(ports: Serving) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ports.health_port}") as channel:
        live, service = _stub(channel).Watch(_asking("live")), _stub(channel).Watch(_asking(FULL_NAME))
        assert (await live.read()).status == SERVING
        assert (await service.read()).status == SERVING
        for serves in (True, False, False, True):
            ports.health.set_serving(serves)
        assert [(await service.read()).status for _ in range(2)] == [NOT_SERVING, SERVING]
        ports.health.end_watches()
        assert await live.read() is grpc.aio.EOF


async def test_health_answers_on_both_ports_and_without_a_key(ports: Serving) -> None:
    for port in (ports.grpc_port, ports.health_port):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = _stub(channel)
            for name in ("", "live", "accepting", FULL_NAME):
                assert (await stub.Check(_asking(name))).status == SERVING
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Check(_asking("nobody"))
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            assert (await stub.Watch(_asking("nobody")).read()).status == UNKNOWN
            untyped: Any = health_pb2
            assert set((await stub.List(untyped.HealthListRequest())).statuses) == {
                "",
                "live",
                "accepting",
                FULL_NAME,
            }


async def test_a_process_that_is_not_ready_says_so_until_it_is() -> None:
    ready = False

    async def is_ready() -> bool:
        return ready

    async with (
        served(ObedientMonitor(), is_ready=is_ready) as (ports, channel),
    ):
        watch = _stub(channel).Watch(_asking(""))
        assert (await watch.read()).status == NOT_SERVING
        assert not ports.health.is_serving()
        ready = True
        async with asyncio.timeout(10):
            assert (await watch.read()).status == SERVING


async def test_health_turns_before_the_listener_closes() -> None:
    monitor = ObedientMonitor()
    open_gate = asyncio.Event()
    monitor.on_call = open_gate.wait  # pyright: ignore[reportAttributeAccessIssue]
    context = serving(service_of(monitor))
    ports = await context.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc_port}") as channel:
        watch = _stub(channel).Watch(_asking(""))
        assert (await watch.read()).status == SERVING
        call = asyncio.ensure_future(
            stubs.MonitorServiceStub(channel).GetHealth(pb.GetHealthRequest(), metadata=bearer(STAFF_KEY))
        )
        await monitor.started.wait()
        ending = asyncio.create_task(context.__aexit__(None, None, None))
        assert (await watch.read()).status == NOT_SERVING
        assert not call.done()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports.health_port}") as probe:
            assert (await _stub(probe).Check(_asking(""))).status == NOT_SERVING
            assert (await _stub(probe).Check(_asking("live"))).status == SERVING
        open_gate.set()
        assert (await call).score == 100
        await ending


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_lists_the_services_by_either_reflection(ports: Serving, protocol: str) -> None:
    listed = await _run(
        _tool("buf"),
        "curl",
        "--http2-prior-knowledge",
        "--protocol",
        "grpc",
        "--reflect-protocol",
        protocol,
        "--list-services",
        f"http://127.0.0.1:{ports.grpc_port}",
    )
    assert set(listed.split()) == {FULL_NAME, "grpc.health.v1.Health", V1, V1_ALPHA}


async def test_grpcurl_lists_describes_and_calls(ports: Serving) -> None:
    grpcurl, address = _tool("grpcurl"), f"127.0.0.1:{ports.grpc_port}"
    assert FULL_NAME in (await _run(grpcurl, "-plaintext", address, "list")).split()
    assert "rpc GetHealth" in await _run(grpcurl, "-plaintext", address, "describe", FULL_NAME)
    answer = await _run(
        grpcurl,
        "-plaintext",
        "-H",
        f"authorization: Bearer {STAFF_KEY}",
        address,
        f"{FULL_NAME}/GetHealth",
    )
    assert '"score": 100' in answer
