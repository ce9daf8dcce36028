"""The submitter process: a worker with its browsers, and the service that shows and steers all workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from directorybolt.submitter.v1 import submitter_service_pb2_grpc

from services.projections.reading import Reads
from services.projections.workers import WorkersProjection
from services.runtime.clock import StoreClock, SystemClock
from services.runtime.config import (
    EvidenceConfig,
    SealingConfig,
    ServiceConfig,
    TimingConfig,
    WorkerConfig,
)
from services.runtime.evidence import FileEvidence
from services.runtime.gateway_store import open_event_store
from services.runtime.ledger import Ledger
from services.runtime.loop import Loop
from services.runtime.process import Service, run_process
from services.runtime.projecting import projecting, projector_of
from services.runtime.queue_sqs import SqsQueue
from services.runtime.readiness import answers
from services.runtime.sealing import vault_of
from services.runtime.server import Hosted
from services.runtime.service_pulse import service_pulse_loop
from services.runtime.tables.api_keys import ApiKeyTable
from services.runtime.tables.directory_slots import DirectorySlots
from services.runtime.tables.pool import open_pool
from services.submitter.addresses import AddressRules
from services.submitter.attempt_runner import AttemptRunner
from services.submitter.browser_pool import BrowserPool
from services.submitter.claiming import Claimer
from services.submitter.engine import Engine
from services.submitter.lookup import Lookup
from services.submitter.pool_config import PoolConfig
from services.submitter.presence import Presence
from services.submitter.proofs import Proofs
from services.submitter.servicer import SubmitterServicer
from services.submitter.settings import WorkerSettings
from services.submitter.worker import Worker

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from eventstore.privacy.vault import Vault
    from services.runtime.clock import Clock
    from services.runtime.config import Environment

ROLE = "bolt_submitter"
FULL_NAME = "directorybolt.submitter.v1.SubmitterService"
IDLE_SECONDS = 0.2
#: The loop's rounds are the worker's pulse: a queue that is down must not make it look dead.
BACKOFF_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the worker stands on: opened, and closed with the process."""

    config: ServiceConfig
    settings: WorkerSettings
    clock: Clock
    ledger: Ledger
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    vault: Vault
    browsers: BrowserPool
    queue: SqsQueue


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Join the worker's parts."""
    ground = await _open(environment, stack)
    store = ground.ledger.store
    projector = projector_of(store, ground.config.database_url, WorkersProjection(), ROLE)
    await stack.enter_async_context(projecting([projector], ground.clock))
    presence = Presence(ground.ledger, ground.clock, ground.settings)
    worker = _worker(ground, presence, EvidenceConfig.read(environment))
    await presence.start(version("directorybolt"), ground.browsers.statistics.browser)
    stack.push_async_callback(presence.stop, "drained")
    stack.push_async_callback(worker.finish)
    return Service(
        config=ground.config,
        hosted=[_hosted(SubmitterServicer(Reads(ground.pool), ground.ledger))],
        verify_key=ApiKeyTable(ground.pool, ground.clock).verify,
        loops=[
            Loop(
                "worker",
                worker.run_once,
                interval_seconds=IDLE_SECONDS,
                clock=ground.clock,
                backoff_max_seconds=BACKOFF_SECONDS_MAX,
            ),
            service_pulse_loop(
                ground.ledger,
                service="submitter",
                interval_seconds=ground.settings.pulse.total_seconds(),
                clock=ground.clock,
            ),
        ],
        clock=ground.clock,
        is_ready=lambda: answers(store),
    )


async def _open(environment: Environment, stack: AsyncExitStack) -> Ground:
    config, named = ServiceConfig.read(environment), WorkerConfig.read(environment)
    settings = _settings(named, TimingConfig.read(environment))
    store = await stack.enter_async_context(open_event_store(config))
    pool = open_pool(config.database_url, role=ROLE, application_name="submitter")
    rules, clock = AddressRules.of(*named.private_origins), StoreClock(SystemClock())
    return Ground(
        config=config,
        settings=settings,
        clock=clock,
        ledger=Ledger(store, f"worker/{settings.worker_id}", clock.heard),
        pool=await stack.enter_async_context(pool),
        vault=await stack.enter_async_context(vault_of(config.database_url, SealingConfig.read(environment))),
        browsers=await stack.enter_async_context(
            BrowserPool(PoolConfig(sessions_warm=settings.slots, rules=rules, monotonic=clock.monotonic))
        ),
        queue=await stack.enter_async_context(SqsQueue.open()),
    )


def _settings(named: WorkerConfig, timing: TimingConfig) -> WorkerSettings:
    return WorkerSettings(
        worker_id=named.worker_id,
        slots=named.slots,
        lease=timedelta(seconds=timing.lease_seconds),
        pulse=timedelta(seconds=timing.pulse_seconds),
        permit=timedelta(seconds=timing.permit_seconds),
        retry_scale=timing.retry_scale,
    )


def _worker(ground: Ground, presence: Presence, evidence: EvidenceConfig) -> Worker:
    lookup = Lookup(ground.ledger, ground.vault)
    slots = DirectorySlots(ground.pool, ground.settings.worker_id)
    runner = AttemptRunner(
        ground.ledger,
        Engine(ground.browsers, ground.clock),
        lookup,
        Proofs(ground.vault, FileEvidence(evidence.folder, ground.vault)),
        slots,
        clock=ground.clock,
        settings=ground.settings,
        trace_mode=ground.config.telemetry.trace_mode,
    )
    claimer = Claimer(ground.ledger, lookup, slots, ground.clock, ground.settings)
    return Worker(ground.queue, claimer, runner, presence, ground.settings)


def _hosted(servicer: SubmitterServicer) -> Hosted:
    return Hosted(
        FULL_NAME,
        lambda server: submitter_service_pb2_grpc.add_SubmitterServiceServicer_to_server(servicer, server),
    )


if __name__ == "__main__":
    run_process("submitter", assemble)
