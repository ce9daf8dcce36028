"""The monitor process: `python -m services.monitor`, configured by its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
from directorybolt.submitter.v1.submitter_service_pb2_grpc import SubmitterServiceStub

from eventstore.archive.archiver import Archiver
from eventstore.archive.retention import Retention
from services.domain.gap_rules import default_rules
from services.monitor import log_sealing, paused_projections
from services.monitor.alert_desk import AlertDesk
from services.monitor.alert_list import AlertList
from services.monitor.audit import Audit
from services.monitor.audit_export import AuditExport
from services.monitor.audit_reads import AuditReads
from services.monitor.channel import SlackWebhook
from services.monitor.dead_letters import DeadLetterCollector
from services.monitor.examination import Examination
from services.monitor.judge import GapJudge
from services.monitor.log_sealing import LogSealing
from services.monitor.notifier import Notifier
from services.monitor.partition_keeper import INTERVAL_SECONDS, PartitionKeeper
from services.monitor.paused_projections import PausedProjections
from services.monitor.projection_desk import ProjectionDesk
from services.monitor.remedies import Remedies
from services.monitor.servicer import Parts, hosted
from services.monitor.standstill import Standstill
from services.monitor.state_as_of import StateAsOf
from services.monitor.verification import Verification
from services.projections.alerts import AlertsProjection
from services.projections.gaps import GapsProjection
from services.projections.reading import Reads
from services.projections.registry import registered
from services.runtime.archive_storage import open_archive
from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from services.runtime.config import (
    AlertConfig,
    ConfigError,
    LogSealConfig,
    PeerConfig,
    RetentionConfig,
    ServiceConfig,
    TimingConfig,
)
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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AsyncExitStack

    from eventstore.store import EventStore
    from services.domain.gap_rules import GapRule
    from services.runtime.api_key import ApiKey
    from services.runtime.config import Environment
    from services.runtime.principal import Principal

NAME: Final = "monitor"
ROLE: Final = "bolt_monitor"
REBUILD_DATABASE_URL: Final = "DIRECTORYBOLT_REBUILD_DATABASE_URL"
JUDGE_SECONDS_MAX: Final = 1.0
TELL_SECONDS: Final = 0.5
COLLECT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the process stands on: opened, and closed with it."""

    config: ServiceConfig
    timing: TimingConfig
    clock: SystemClock
    store: EventStore
    reads: Reads
    verify_key: Callable[[ApiKey], Awaitable[Principal | None]]
    queue: SqsQueue
    scheduler: SchedulerServiceStub
    submitter: SubmitterServiceStub
    slack: SlackWebhook | None
    rules: Sequence[GapRule]
    keeper: PartitionKeeper
    sealing: LogSealing
    #: The database as the owner of the read models reaches it.
    rebuild_url: str

    @property
    def ledger(self) -> Ledger:
        """The log, spoken to in the monitor's own name."""
        return Ledger(self.store, NAME)


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Put the process together; what must be closed goes onto the stack.

    Errors: ConfigError; StoreUnavailable, StoreDown and QueueDown when database or queue do not answer.
    """
    ground = await _open(environment, stack)
    url = ground.config.database_url
    projectors = [
        # The watchdog must not go blind for all others because of one event.
        projector_of(ground.store, url, GapsProjection(ground.rules), ROLE, reads_on=True),
        projector_of(ground.store, url, AlertsProjection(), ROLE),
    ]
    await stack.enter_async_context(projecting(projectors, ground.clock))
    return Service(
        config=ground.config,
        hosted=[hosted(_parts(ground))],
        verify_key=ground.verify_key,
        loops=_loops(ground),
        clock=ground.clock,
        is_ready=lambda: answers(ground.store),
    )


async def _open(environment: Environment, stack: AsyncExitStack) -> Ground:
    config, timing = ServiceConfig.read(environment), TimingConfig.read(environment)
    scheduler_address, submitter_address = _peer_addresses(environment)
    clock, key = SystemClock(), config.service_key
    store = await stack.enter_async_context(open_event_store(config))
    pool = await stack.enter_async_context(open_pool(config.database_url, role=ROLE, application_name=NAME))
    scheduler = open_channel(scheduler_address, api_key=key, clock=clock)
    submitter = open_channel(submitter_address, api_key=key, clock=clock)
    reads = Reads(pool)
    lease, pulse = timedelta(seconds=timing.lease_seconds), timedelta(seconds=timing.pulse_seconds)
    return Ground(
        config=config,
        timing=timing,
        clock=clock,
        store=store,
        reads=reads,
        verify_key=ApiKeyTable(pool, clock).verify,
        queue=await stack.enter_async_context(SqsQueue.open()),
        scheduler=SchedulerServiceStub(await stack.enter_async_context(scheduler)),
        submitter=SubmitterServiceStub(await stack.enter_async_context(submitter)),
        slack=await _open_slack(AlertConfig.read(environment).slack_webhook_url, stack),
        rules=default_rules(lease, pulse),
        keeper=await _open_keeper(environment, stack, store, reads),
        rebuild_url=environment.text(REBUILD_DATABASE_URL, config.database_url),
        sealing=await stack.enter_async_context(
            LogSealing.open(config.database_url, LogSealConfig.read(environment))
        ),
    )


async def _open_keeper(
    environment: Environment, stack: AsyncExitStack, store: EventStore, reads: Reads
) -> PartitionKeeper:
    config = ServiceConfig.read(environment)
    url = config.database_url
    storage = await stack.enter_async_context(open_archive(config.archive_url))
    archiver = None if storage is None else Archiver(store, url, storage)
    return PartitionKeeper(reads, Retention(url, storage), archiver, RetentionConfig.read(environment))


def _peer_addresses(environment: Environment) -> tuple[str, str]:
    peers = PeerConfig.read(environment)
    for name, address in (("SCHEDULER", peers.scheduler_address), ("SUBMITTER", peers.submitter_address)):
        if not address:
            raise ConfigError(f"DIRECTORYBOLT_{name}_ADDRESS is not set: give it a value")
    return peers.scheduler_address, peers.submitter_address


async def _open_slack(url: str, stack: AsyncExitStack) -> SlackWebhook | None:
    return await stack.enter_async_context(SlackWebhook.open(url)) if url else None


def _parts(ground: Ground) -> Parts:
    sealer = TokenSealer(ground.config.token_secret, ground.clock)
    url, audit_reads = ground.config.database_url, AuditReads(ground.store)
    return Parts(
        store=ground.store,
        rules=ground.rules,
        examination=Examination(
            ground.reads,
            ground.scheduler,
            ground.submitter,
            ground.clock,
            retention_trouble=lambda: ground.keeper.trouble,
            sealing_trouble=lambda: ground.sealing.trouble,
        ),
        alerts=AlertList(ground.reads, sealer),
        audit=Audit(ground.store, sealer, audit_reads),
        state_as_of=StateAsOf(ground.store, sealer),
        projections=ProjectionDesk(
            ground.store, ground.reads, sealer, ground.rebuild_url, registered(ground.timing)
        ),
        verification=Verification(url, ground.store, ground.sealing, audit_reads, sealer),
        export=AuditExport(url, ground.store, audit_reads, sealer),
        audit_reads=audit_reads,
    )


def _loops(ground: Ground) -> Sequence[Loop]:
    judge_seconds = min(JUDGE_SECONDS_MAX, ground.timing.sweep_seconds)
    collector = DeadLetterCollector(ground.ledger, ground.queue)
    paused = PausedProjections(ground.reads, AlertDesk(ground.ledger))
    pulse = service_pulse_loop(
        ground.ledger,
        service=NAME,
        interval_seconds=ground.timing.pulse_seconds,
        clock=ground.clock,
    )
    return [
        _loop(ground, "gap judge", _judge(ground).run_once, judge_seconds),
        _loop(ground, "dead letter collector", collector.run_once, COLLECT_SECONDS),
        _loop(ground, "partition keeper", ground.keeper.run_once, INTERVAL_SECONDS),
        _loop(ground, "paused projections", paused.run_once, paused_projections.INTERVAL_SECONDS),
        _loop(ground, "log sealer", ground.sealing.run_once, log_sealing.INTERVAL_SECONDS),
        *_notifiers(ground),
        pulse,
    ]


def _judge(ground: Ground) -> GapJudge:
    return GapJudge(
        ground.reads,
        ground.rules,
        Coverage(ground.clock),
        desk=AlertDesk(ground.ledger),
        remedies=Remedies(ground.ledger, ground.scheduler),
        standstill=Standstill(ground.reads, ground.submitter, ground.clock),
        trace_mode=ground.config.telemetry.trace_mode,
    )


def _notifiers(ground: Ground) -> Sequence[Loop]:
    if ground.slack is None:
        return ()
    mode = ground.config.telemetry.trace_mode
    notifier = Notifier(ground.reads, ground.slack, AlertDesk(ground.ledger), mode)
    return [_loop(ground, "notifier", notifier.run_once, TELL_SECONDS)]


def _loop(
    ground: Ground, name: str, run_once: Callable[[], Awaitable[bool]], interval_seconds: float
) -> Loop:
    # A watchdog that pauses for long after a failure is none.
    return Loop(
        name, run_once, interval_seconds=interval_seconds, clock=ground.clock, backoff_max_seconds=5.0
    )


if __name__ == "__main__":
    run_process(NAME, assemble)
