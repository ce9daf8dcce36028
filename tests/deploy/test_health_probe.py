"""The probe that Docker runs, as Docker runs it: a process of its own against a real health servicer."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROBE = Path(__file__).resolve().parents[2] / "deploy" / "docker" / "health_probe.py"


class Health(health_pb2_grpc.HealthServicer):
    """Answers what it was told to."""

    def __init__(self) -> None:
        self.status = health_pb2.HealthCheckResponse.SERVING

    async def Check(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[object, object],  # noqa: ARG002 - gRPC gives it
    ) -> health_pb2.HealthCheckResponse:
        """Give the status of the whole process."""
        assert request.service == ""
        return health_pb2.HealthCheckResponse(status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, str]]:
    """Serve health on a free port."""
    server = grpc.aio.server()
    health = Health()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)  # pyright: ignore[reportUnknownMemberType] - types-grpcio leaves it half typed
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield health, f"127.0.0.1:{port}"
    await server.stop(None)


async def probe(address: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROBE,
        env=os.environ | {"DIRECTORYBOLT_HEALTH_PORT": address.rpartition(":")[2]},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_a_serving_process_is_healthy(served: tuple[Health, str]) -> None:
    health, address = served
    health.status = health_pb2.HealthCheckResponse.SERVING

    assert await probe(address) == (0, f"{address} says SERVING\n")


async def test_a_draining_process_is_not(served: tuple[Health, str]) -> None:
    health, address = served
    health.status = health_pb2.HealthCheckResponse.NOT_SERVING

    assert await probe(address) == (1, f"{address} says NOT_SERVING\n")


async def test_a_closed_port_is_not() -> None:
    code, said = await probe("127.0.0.1:1")

    assert code == 1
    assert said.endswith("does not answer: UNAVAILABLE\n")
    assert "Traceback" not in said
