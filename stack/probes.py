"""Is it ready? Probes for a gate, each a real call to the real thing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stack.process import Process

CALL_TIMEOUT_SECONDS = 2.0
#: gRPC would send even loopback calls to a proxy that the environment names.
NO_PROXY = (("grpc.enable_http_proxy", 0),)


async def is_serving(address: str) -> bool:
    """Ask grpc.health.v1 at `address` (host:port, plaintext); no answer is no."""
    async with grpc.aio.insecure_channel(address, options=NO_PROXY) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def serving(address: str) -> Callable[[Process], Awaitable[bool]]:
    """Return a probe that asks the health service at `address`."""

    async def _probe(_: Process) -> bool:
        return await is_serving(address)

    return _probe


def answers_sqs(endpoint: str) -> Callable[[Process], Awaitable[bool]]:
    """Return a probe that lists the queues at `endpoint`."""
    headers = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}

    async def _probe(_: Process) -> bool:
        async with httpx.AsyncClient(timeout=CALL_TIMEOUT_SECONDS, trust_env=False) as client:
            try:
                answer = await client.post(endpoint, headers=headers, content=b"{}")
            except httpx.HTTPError:
                return False
            return answer.is_success

    return _probe


def said(key: str) -> Callable[[Process], Awaitable[bool]]:
    """Return a probe that waits for a line of JSON with `key` in the process's output."""

    async def _probe(process: Process) -> bool:
        return value_said(process.output(), key) is not None

    return _probe


def value_said(output: str, key: str) -> str | None:
    """Return the value of `key` in the first line of the output that is a JSON object and has it."""
    for line in output.splitlines():
        if line.startswith("{") and line.endswith("}") and f'"{key}"' in line:
            value: object = json.loads(line).get(key)
            return None if value is None else str(value)
    return None
