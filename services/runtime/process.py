"""The life of a service process: assemble, serve, drain, close.

A `__main__` says what the process is made of and calls `run_process`. On SIGTERM, SIGINT or the end of its
lifeline it drains: health turns NOT_SERVING and clients turn away, streams are ended, calls under way
finish, loops finish their rounds, and what the process opened is closed in reverse order. Exit code 0.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from services.runtime.clock import SystemClock
from services.runtime.config import ConfigError, Environment, ServiceConfig
from services.runtime.health import Health
from services.runtime.interceptors.admission import CALLS_MAX, STREAMS_MAX, Admission
from services.runtime.interceptors.deadline import DEFAULT_SECONDS
from services.runtime.logs import set_up_logs
from services.runtime.loop import Loop
from services.runtime.server import (
    Connections,
    Hosted,
    bind,
    build_health_server,
    build_server,
    standard_layers,
)
from services.runtime.telemetry import set_up_tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    import grpc

    from services.runtime.clock import Clock
    from services.runtime.interceptors.authenticate import VerifyKey

    #: Builds the process's parts; what must be closed goes onto the stack.
    Assemble = Callable[[Environment, AsyncExitStack], Awaitable["Service"]]

DRAIN_SECONDS: Final = 20.0
TURN_AWAY_SECONDS: Final = 0.5
READINESS_SECONDS: Final = 2.0
_EXIT_CONFIG = 2

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a process is made of.

    `is_ready` is asked every two seconds and turns health; without it the process serves from the start.
    """

    config: ServiceConfig
    hosted: Sequence[Hosted]
    verify_key: VerifyKey
    loops: Sequence[Loop] = ()
    clock: Clock = field(default_factory=SystemClock)
    is_ready: Callable[[], Awaitable[bool]] | None = None
    connections: Connections = field(default_factory=Connections)
    deadline_seconds: float = DEFAULT_SECONDS
    calls_max: int = CALLS_MAX
    streams_max: int = STREAMS_MAX
    turn_away_seconds: float = TURN_AWAY_SECONDS
    drain_seconds: float = DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Serving:
    """A process that serves: its ports, and its health."""

    grpc_port: int
    health_port: int
    health: Health


@asynccontextmanager
async def serving(service: Service) -> AsyncGenerator[Serving]:
    """Serve inside of the context; drain on the way out."""
    health = Health([each.full_name for each in service.hosted])
    admission = Admission(calls_max=service.calls_max, streams_max=service.streams_max)
    servers = (_api_server(service, health, admission), build_health_server(health))
    loops = [*service.loops, _readiness(service, health)]
    config = service.config
    ports = (
        bind(servers[0], config.bind_address, config.grpc_port),
        bind(servers[1], config.bind_address, config.health_port),
    )
    await asyncio.gather(*(each.start() for each in servers))
    for loop in loops:
        await loop.start()
    if service.is_ready is None:
        health.set_serving(True)
    try:
        yield Serving(*ports, health)
    finally:
        await _drain(
            health,
            admission,
            servers,
            loops,
            turn_away_seconds=service.turn_away_seconds,
            seconds=service.drain_seconds,
        )


def run_process(name: str, assemble: Assemble) -> None:
    """Run a service until it is asked to end; exit 0 when it drained, 2 when the configuration is wrong."""
    try:
        asyncio.run(_run(name, assemble))
    except ConfigError as error:
        sys.stderr.write(f"{name}: {error}\n")
        raise SystemExit(_EXIT_CONFIG) from None


async def _run(name: str, assemble: Assemble) -> None:
    environment = Environment()
    config = ServiceConfig.read(environment)
    set_up_logs(name, config.telemetry.log_format)
    asked_to_end = _asked_to_end(config.lifeline_fd)
    async with AsyncExitStack() as stack:
        tracing = set_up_tracing(name, f"{os.uname().nodename}-{os.getpid()}", config.telemetry)
        stack.push_async_callback(tracing.close)
        service = await assemble(environment, stack)
        async with serving(service) as ports:
            _announce(ports)
            _log.info("process.serving", grpc_port=ports.grpc_port, health_port=ports.health_port)
            reason = await asked_to_end
            _log.info("process.draining", reason=reason)
    _log.info("process.ended")


def _announce(ports: Serving) -> None:
    line = json.dumps({"grpc_port": ports.grpc_port, "health_port": ports.health_port})
    # Whoever started the process may not read any more; that is no reason to die.
    with suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _asked_to_end(lifeline_fd: int | None) -> asyncio.Future[str]:
    """Return what comes true when a signal arrives, or when the lifeline ends."""
    running = asyncio.get_running_loop()
    asked: asyncio.Future[str] = running.create_future()

    def ask(reason: str) -> None:
        if not asked.done():
            asked.set_result(reason)

    for each in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(each, ask, each.name)
    if lifeline_fd is not None:
        running.add_reader(lifeline_fd, _read_lifeline, lifeline_fd, ask)
    return asked


def _read_lifeline(lifeline_fd: int, ask: Callable[[str], None]) -> None:
    if os.read(lifeline_fd, 1024):
        return
    asyncio.get_running_loop().remove_reader(lifeline_fd)
    ask("lifeline")


def _api_server(service: Service, health: Health, admission: Admission) -> grpc.aio.Server:
    config = service.config
    layers = standard_layers(
        clock=service.clock,
        admission=admission,
        requests_per_minute=config.rate_limit_per_minute,
        staff_key=config.staff_key,
        service_key=config.service_key,
        verify_key=service.verify_key,
        deadline_seconds=service.deadline_seconds,
    )
    return build_server(service.hosted, health, layers, service.connections)


def _readiness(service: Service, health: Health) -> Loop:
    async def look() -> bool:
        ready = service.is_ready is None or await service.is_ready()
        if ready != health.is_serving():
            _log.log(logging.INFO if ready else logging.WARNING, "process.readiness_changed", ready=ready)
            health.set_serving(ready)
        return False

    return Loop("readiness", look, interval_seconds=READINESS_SECONDS, clock=service.clock)


async def _drain(
    health: Health,
    admission: Admission,
    servers: Sequence[grpc.aio.Server],
    loops: Sequence[Loop],
    *,
    turn_away_seconds: float,
    seconds: float,
) -> None:
    *own_loops, readiness = loops
    await readiness.stop()  # or it would turn health on again
    health.stop_accepting()
    # A call that arrives while the listener closes is lost. Clients that watch our health have a moment to
    # turn away first; what they send until then is answered as ever.
    await asyncio.sleep(turn_away_seconds)
    admission.drain()
    health.end_watches()
    await asyncio.gather(servers[0].stop(seconds), *(_end(loop, seconds) for loop in own_loops))
    await admission.emptied()
    await servers[1].stop(0)


async def _end(loop: Loop, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await loop.drain()
    except TimeoutError:
        _log.warning("loop.broken_off", loop=loop.name, after_seconds=seconds)
        await loop.stop()
