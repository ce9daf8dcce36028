"""The scheduler process: `python -m services.scheduler`, configured by its environment."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.projections.reading import Reads
from services.projections.scheduling import SchedulingProjection
from services.runtime.clock import StoreClock, SystemClock
from services.runtime.config import ServiceConfig, TimingConfig
from services.runtime.coverage import Coverage
from services.runtime.gateway_store import open_event_store
from services.runtime.ledger import Ledger
from services.runtime.loop import Loop
from services.runtime.process import Service, run_process
from services.runtime.projecting import projecting, projector_of
from services.runtime.queue_sqs import SqsQueue
from services.runtime.readiness import answers
from services.runtime.service_pulse import service_pulse_loop
from services.runtime.tables.api_keys import ApiKeyTable
from services.runtime.tables.pool import open_pool
from services.runtime.tokens import TokenSealer
from services.scheduler.canceller import Canceller
from services.scheduler.completer import Completer
from services.scheduler.dead_letter_desk import DeadLetterDesk
from services.scheduler.dispatch_sweeper import DispatchSweeper
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.fair_share import FairShare
from services.scheduler.lease_reaper import LeaseReaper
from services.scheduler.news_bell import NewsBell
from services.scheduler.planner import Planner
from services.scheduler.rescue import Rescue
from services.scheduler.servicer import SchedulerServicer, hosted
from services.scheduler.settings import SchedulerSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AsyncExitStack

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from eventstore.following.projector import Projector
    from eventstore.types import Position
    from services.runtime.config import Environment

NAME: Final = "scheduler"
ROLE: Final = "bolt_scheduler"
#: How often each loop looks without being woken.
POLL_SECONDS: Final = 1.0
#: Timers fire between two events: the dispatcher looks more often.
TIMER_SECONDS: Final = 0.25
#: A reaper that looks seldom could not tell our own outage from a worker's silence.
REAP_SECONDS_MAX: Final = 2.0
_CATCH_UP_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the loops stand on: opened, and closed with the process."""

    config: ServiceConfig
    timing: TimingConfig
    settings: SchedulerSettings
    clock: StoreClock
    ledger: Ledger
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    projector: Projector
    queue: SqsQueue


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Put the process together; what must be closed goes onto the stack.

    Errors: ConfigError; StoreUnavailable, StoreDown and QueueDown when database or queue do not answer.
    """
    ground = await _open(environment, stack)
    await stack.enter_async_context(projecting([ground.projector], ground.clock))
    tokens = TokenSealer(ground.config.token_secret, ground.clock)
    return Service(
        config=ground.config,
        hosted=[hosted(_servicer(ground, tokens))],
        verify_key=ApiKeyTable(ground.pool, ground.clock).verify,
        loops=_loops(ground),
        clock=ground.clock,
        is_ready=lambda: answers(ground.ledger.store),
    )


async def _open(environment: Environment, stack: AsyncExitStack) -> Ground:
    config, timing = ServiceConfig.read(environment), TimingConfig.read(environment)
    url, clock = config.database_url, StoreClock(SystemClock())
    store = await stack.enter_async_context(open_event_store(config))
    return Ground(
        config=config,
        timing=timing,
        settings=SchedulerSettings.read(environment, timing, config.telemetry.trace_mode),
        clock=clock,
        ledger=Ledger(store, NAME, clock.heard),
        pool=await stack.enter_async_context(open_pool(url, role=ROLE, application_name=NAME)),
        projector=projector_of(store, url, SchedulingProjection(), ROLE),
        queue=await stack.enter_async_context(SqsQueue.open()),
    )


def _servicer(ground: Ground, tokens: TokenSealer) -> SchedulerServicer:
    reads, scale = Reads(ground.pool), ground.settings.retry_scale
    rescue = Rescue(ground.ledger, reads, ground.clock, draw=random.random, retry_scale=scale)
    return SchedulerServicer(reads, rescue, DeadLetterDesk(ground.ledger, reads), tokens)


def _loops(ground: Ground) -> Sequence[Loop]:
    woken = [
        _loop(ground, "planner", _planner(ground).run_once, POLL_SECONDS),
        _loop(ground, "dispatcher", _dispatcher(ground).run_once, TIMER_SECONDS),
        _loop(ground, "completer", _completer(ground).run_once, POLL_SECONDS),
        _loop(ground, "canceller", Canceller(ground.ledger, ground.pool).run_once, POLL_SECONDS),
    ]
    sweep_seconds = ground.timing.sweep_seconds
    bell = NewsBell(ground.ledger.store, ground.projector, woken)
    pulse = service_pulse_loop(
        ground.ledger,
        service=NAME,
        interval_seconds=ground.timing.pulse_seconds,
        clock=ground.clock,
    )
    return [
        *woken,
        _loop(ground, "dispatch sweeper", _sweeper(ground).run_once, sweep_seconds),
        _loop(ground, "lease reaper", _reaper(ground).run_once, min(sweep_seconds, REAP_SECONDS_MAX)),
        _loop(ground, "news bell", bell.run_once, POLL_SECONDS),
        pulse,
    ]


def _loop(
    ground: Ground, name: str, run_once: Callable[[], Awaitable[bool]], interval_seconds: float
) -> Loop:
    return Loop(name, run_once, interval_seconds=interval_seconds, clock=ground.clock)


def _planner(ground: Ground) -> Planner:
    return Planner(ground.ledger, ground.pool, ground.clock, ground.settings.trace_mode)


def _completer(ground: Ground) -> Completer:
    return Completer(ground.ledger, ground.pool, ground.settings.trace_mode)


def _dispatcher(ground: Ground) -> Dispatcher:
    async def caught_up(position: Position) -> None:
        await ground.projector.wait_until(position, _CATCH_UP_SECONDS_MAX)

    return Dispatcher(
        ground.ledger,
        ground.pool,
        ground.queue,
        share=FairShare(ground.settings.ageing),
        settings=ground.settings,
        caught_up=caught_up,
    )


def _sweeper(ground: Ground) -> DispatchSweeper:
    return DispatchSweeper(ground.ledger, ground.pool, ground.settings.dispatch_patience)


def _reaper(ground: Ground) -> LeaseReaper:
    coverage = Coverage(ground.clock)
    return LeaseReaper(ground.ledger, ground.pool, coverage, random.random, ground.settings.retry_scale)


if __name__ == "__main__":
    run_process(NAME, assemble)
