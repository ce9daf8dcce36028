"""Build a gRPC server: limits, keepalive, reflection, health, and what every call passes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health_pb2_grpc

from services.runtime.interceptors.authenticate import Authenticate
from services.runtime.interceptors.deadline import ImposeDeadline
from services.runtime.interceptors.layer import LayeredInterceptor
from services.runtime.interceptors.mask_errors import MaskErrors
from services.runtime.interceptors.rate_limit import RateLimit
from services.runtime.interceptors.telemetry import Telemetry
from services.runtime.reflection import add_reflection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.runtime.clock import Clock
    from services.runtime.health import Health
    from services.runtime.interceptors.admission import Admission
    from services.runtime.interceptors.authenticate import VerifyKey
    from services.runtime.interceptors.layer import Layer

REQUEST_BYTES_MAX: Final = 10 * 1024 * 1024
_HEALTH_NAME = "grpc.health.v1.Health"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A service to host: its full name, and what puts it on a server."""

    full_name: str
    attach: Callable[[grpc.aio.Server], None]


@dataclass(frozen=True, slots=True)
class Connections:
    """How long connections live. Old ones are closed so that clients meet new replicas."""

    age_max_seconds: float = 300.0
    age_grace_seconds: float = 60.0
    ping_seconds: float = 60.0
    ping_timeout_seconds: float = 20.0
    ping_least_interval_seconds: float = 30.0

    def options(self) -> list[tuple[str, int]]:
        """Return them as gRPC channel arguments."""
        return [
            ("grpc.max_connection_age_ms", int(self.age_max_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", int(self.age_grace_seconds * 1000)),
            ("grpc.keepalive_time_ms", int(self.ping_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.ping_timeout_seconds * 1000)),
            (
                "grpc.http2.min_recv_ping_interval_without_data_ms",
                int(self.ping_least_interval_seconds * 1000),
            ),
        ]


def standard_layers(
    *,
    clock: Clock,
    admission: Admission,
    requests_per_minute: int,
    staff_key: str,
    service_key: str,
    verify_key: VerifyKey,
    deadline_seconds: float,
) -> Sequence[Layer]:
    """Return what every call passes through, outermost first."""
    return (
        # Outermost: whatever any of the others raises must be masked.
        MaskErrors(),
        # Next, so that refusals of all the others are traced, timed and logged.
        Telemetry(clock),
        # Before all that waits or works, so that the deadline covers it.
        ImposeDeadline(clock, deadline_seconds),
        # Before anything that costs: a full process refuses first and asks later.
        admission,
        # Before authentication: a flood of bad keys must not reach the key table.
        RateLimit(requests_per_minute, service_key, clock),
        # Innermost: the handler runs as the caller that this one finds.
        Authenticate(staff_key=staff_key, service_key=service_key, verify_key=verify_key),
    )


def build_server(
    hosted: Sequence[Hosted], health: Health, layers: Sequence[Layer], connections: Connections
) -> grpc.aio.Server:
    """Return the API server, with health and reflection; it is not started and has no port yet."""
    server = grpc.aio.server(
        interceptors=[LayeredInterceptor(layers)],
        options=[
            ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
            # gRPC shares ports by default: a second server would take half of the calls, unnoticed.
            ("grpc.so_reuseport", 0),
            *connections.options(),
        ],
    )
    for each in hosted:
        each.attach(server)
    _add_health(server, health)
    add_reflection(server, [*(each.full_name for each in hosted), _HEALTH_NAME])
    return server


def build_health_server(health: Health) -> grpc.aio.Server:
    """Return the server that probes ask: health only, in clear text, without keys."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    _add_health(server, health)
    return server


def bind(server: grpc.aio.Server, address: str, port: int) -> int:
    """Bind a server and return its port; 0 lets the system choose.

    Errors: OSError naming the address when the port is taken.
    """
    host = f"[{address}]" if ":" in address else address
    try:
        return server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error


def _add_health(server: grpc.aio.Server, health: Health) -> None:
    untyped: Any = health_pb2_grpc
    untyped.add_HealthServicer_to_server(health, server)
