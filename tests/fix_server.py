"""A served process for tests: a real gRPC server on a free port, and channels to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import pytest

from services.runtime.config import ServiceConfig, TelemetryConfig
from services.runtime.principal import Kind, Principal
from services.runtime.process import Service, Serving, serving
from tests.doubles.monitor_servicer import ObedientMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.runtime.api_key import ApiKey

STAFF_KEY = "dbk_staff000_" + "s" * 43
SERVICE_KEY = "dbk_service0_" + "v" * 43
CUSTOMER_KEY = "dbk_customer_" + "c" * 43
CUSTOMER_ID = UUID("11111111-1111-4111-8111-111111111111")

CONFIG = ServiceConfig(
    database_url="",
    bind_address="127.0.0.1",
    grpc_port=0,
    health_port=0,
    staff_key=STAFF_KEY,
    service_key=SERVICE_KEY,
    token_secret=b"t" * 32,
    rate_limit_per_minute=1_000,
    lifeline_fd=None,
    telemetry=TelemetryConfig("json", "link", ""),
)


async def verify_test_key(key: ApiKey) -> Principal | None:
    """Know one customer's key."""
    if key.text() == CUSTOMER_KEY:
        return Principal(Kind.CUSTOMER, CUSTOMER_ID, key.key_id)
    return None


def service_of(monitor: ObedientMonitor, *, per_minute: int = 1_000, **changes: Any) -> Service:
    """Return a process that hosts the monitor of a test."""
    config = replace(CONFIG, rate_limit_per_minute=per_minute)
    return Service(
        config, [monitor.hosted()], verify_test_key, turn_away_seconds=0, drain_seconds=5, **changes
    )


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that offers a key."""
    return (("authorization", f"Bearer {key}"),)


def raw_method(channel: grpc.aio.Channel, path: str) -> Any:
    """Return a method that sends and gives bytes as they are."""
    untyped: Any = channel
    return untyped.unary_unary(path)


@asynccontextmanager
async def served(
    monitor: ObedientMonitor, **changes: Any
) -> AsyncGenerator[tuple[Serving, grpc.aio.Channel]]:
    """Serve a monitor and give a bare channel to it."""
    async with (
        serving(service_of(monitor, **changes)) as ports,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc_port}") as channel,
    ):
        yield ports, channel


@pytest.fixture
def monitor() -> ObedientMonitor:
    """Give a monitor that does as told."""
    return ObedientMonitor()
