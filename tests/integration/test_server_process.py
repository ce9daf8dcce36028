"""A real process: prints its ports, drains on a signal or at the end of its lifeline, exits 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1 import monitor_service_pb2_grpc as stubs
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from tests.fix_server import SERVICE_KEY, STAFF_KEY, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

LIMIT_SECONDS = 30


@dataclass
class Running:
    """A process that serves."""

    process: asyncio.subprocess.Process
    grpc_port: int
    health_port: int
    lifeline: int

    async def ended(self) -> tuple[int, str]:
        """Return the exit code and the rest of what it said."""
        assert self.process.stderr is not None
        said = await self.process.stderr.read()
        return await self.process.wait(), said.decode()

    async def says(self, words: str) -> None:
        """Return when it has said so."""
        assert self.process.stderr is not None
        while words.encode() not in await self.process.stderr.readline():
            assert not self.process.stderr.at_eof()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    variables = {**os.environ, "DATABASE_URL": "postgresql://u:hunter2@h/db", "PYTHONPATH": ".:proto"}
    for name, key in (("STAFF", STAFF_KEY), ("SERVICE", SERVICE_KEY), ("TOKEN", "t" * 40)):
        path = tmp_path / name
        path.write_text(key)
        variables[f"DIRECTORYBOLT_{name}_KEY_FILE"] = str(path)
    return variables


async def _start(variables: Mapping[str, str], lifeline: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.doubles.monitor_process",
        env={**variables, "DIRECTORYBOLT_LIFELINE_FD": str(lifeline)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(lifeline,),
    )


@asynccontextmanager
async def _running(variables: Mapping[str, str]) -> AsyncGenerator[Running]:
    read_end, write_end = os.pipe()
    process = await _start(variables, read_end)
    os.close(read_end)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            ports = json.loads(await process.stdout.readline())
            yield Running(process, ports["grpc_port"], ports["health_port"], write_end)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        if write_end >= 0:
            _close_quietly(write_end)


def _close_quietly(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


async def _health(port: int) -> int:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = stubs.MonitorServiceStub(channel)
        answer = await stub.GetHealth(pb.GetHealthRequest(), metadata=bearer(STAFF_KEY))
        return answer.score


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_call_under_way_finish(
    environment: dict[str, str], number: signal.Signals
) -> None:
    environment["OBEDIENT_SECONDS"] = "0.5"
    async with _running(environment) as running:
        call = asyncio.create_task(_health(running.grpc_port))
        await running.says("call begun")
        running.process.send_signal(number)
        assert await call == 100
        code, said = await running.ended()
    assert code == 0
    assert number.name in said
    assert "closed" in said


async def test_a_process_that_drains_under_load_fails_no_call(environment: dict[str, str]) -> None:
    environment |= {"OBEDIENT_SECONDS": "0.005", "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "1000000"}
    async with _running(environment) as leaving, _running(environment) as staying:
        target = f"ipv4:127.0.0.1:{leaving.grpc_port},127.0.0.1:{staying.grpc_port}"
        async with open_channel(target, api_key=STAFF_KEY, clock=SystemClock()) as channel:
            stub = stubs.MonitorServiceStub(channel)
            left = asyncio.Event()
            answered = 0

            async def call_until_it_has_left() -> None:
                nonlocal answered
                while not left.is_set():
                    assert (await stub.GetHealth(pb.GetHealthRequest())).score == 100
                    answered += 1

            # Its log must be read all the time: a full pipe would stop the process.
            reading = asyncio.create_task(staying.ended())
            async with asyncio.TaskGroup() as callers:
                for _ in range(10):
                    callers.create_task(call_until_it_has_left())
                await leaving.says("call begun")
                leaving.process.terminate()
                code, _ = await leaving.ended()
                left.set()
            staying.process.terminate()
            await reading
    assert code == 0
    assert answered > 10


class _TraceReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def Export(self, request: Any, context: Any) -> Any:
        """Keep the names."""
        del context
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.names.extend(span.name for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_the_last_spans_are_sent_before_the_process_ends(environment: dict[str, str]) -> None:
    receiver = _TraceReceiver()
    server = grpc.aio.server()
    untyped: Any = trace_service_pb2_grpc
    untyped.add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
    async with _running(environment) as running:
        await _health(running.grpc_port)
        running.process.terminate()
        assert (await running.ended())[0] == 0
    await server.stop(0)
    assert receiver.names == ["directorybolt.monitor.v1.MonitorService/GetHealth"]


async def test_a_collector_that_is_down_does_not_keep_the_process(environment: dict[str, str]) -> None:
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    async with _running(environment) as running:
        await _health(running.grpc_port)
        running.process.terminate()
        async with asyncio.timeout(15):
            assert (await running.ended())[0] == 0


async def test_the_end_of_the_lifeline_ends_the_process(environment: dict[str, str]) -> None:
    async with _running(environment) as running:
        assert await _health(running.grpc_port) == 100
        os.close(running.lifeline)
        code, said = await running.ended()
    assert code == 0
    assert '"reason": "lifeline"' in said


async def test_every_line_of_the_log_is_json_with_its_trace_and_without_secrets(
    environment: dict[str, str],
) -> None:
    async with _running(environment) as running:
        await _health(running.grpc_port)
        running.process.terminate()
        _, said = await running.ended()
    lines = [json.loads(line) for line in said.splitlines() if line not in {"call begun", "closed"}]
    (access,) = [line for line in lines if line["event"] == "rpc.call"]
    assert (access["code"], access["service"]) == ("OK", "obedient")
    assert len(access["trace_id"]) == 32
    assert int(access["trace_id"], 16) > 0
    assert "hunter2" not in said
    assert STAFF_KEY not in said


async def test_a_wrong_configuration_is_one_sentence_and_exit_code_2(environment: dict[str, str]) -> None:
    del environment["DATABASE_URL"]
    read_end, write_end = os.pipe()
    process = await _start(environment, read_end)
    stdout, stderr = await process.communicate()
    os.close(read_end)
    os.close(write_end)
    assert process.returncode == 2
    assert stdout == b""
    assert stderr.decode().strip() == "obedient: DATABASE_URL is not set: give it a value"


async def test_a_port_that_is_taken_ends_the_process_loudly(environment: dict[str, str]) -> None:
    async with _running(environment) as running:
        read_end, write_end = os.pipe()
        second = await _start({**environment, "DIRECTORYBOLT_GRPC_PORT": str(running.grpc_port)}, read_end)
        _, stderr = await second.communicate()
        os.close(read_end)
        os.close(write_end)
    assert second.returncode not in {0, None}
    assert f"cannot listen on 127.0.0.1:{running.grpc_port}" in stderr.decode()
