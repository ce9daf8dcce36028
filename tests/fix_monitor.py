"""The monitor's parts on a real Postgres: read models that follow, loops stepped by the test, real peers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from directorybolt.event.v1 import pulse_events_pb2, submission_events_pb2, system_events_pb2
from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
from directorybolt.submitter.v1.submitter_service_pb2_grpc import SubmitterServiceStub

from eventstore.following.projection import ProjectionProgress
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import ANY_VERSION, LEDGER_LANE, PULSE_LANE
from services.domain import events, identity
from services.domain.gap_rules import default_rules
from services.monitor.alert_desk import ALERT, AlertDesk
from services.monitor.channel import SlackWebhook
from services.monitor.judge import GapJudge
from services.monitor.notifier import Notifier
from services.monitor.remedies import Remedies
from services.monitor.standstill import Standstill
from services.projections.alerts import AlertsProjection, page_of_alerts
from services.projections.gaps import GapsProjection
from services.projections.migration import migrate
from services.projections.reading import Reads
from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from services.runtime.coverage import Coverage
from services.runtime.ledger import Ledger, Stream
from services.runtime.tables.pool import open_pool
from tests.cloned_database import TEMPLATE, cloned_database
from tests.doubles.peers import peers_served
from tests.doubles.webhook import webhook_served
from tests.fix_postgres import postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from google.protobuf.message import Message
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.domain.alert import Alert
    from services.domain.gap_rules import GapRule
    from services.projections.alerts import AlertRow
    from stack.postgres import EmbeddedPostgres
    from tests.doubles.peers import Peers
    from tests.doubles.webhook import Webhook

__all__ = ["monitor_template", "postgres_cluster", "watch"]

ROLE = "bolt_monitor"
MONITOR_TEMPLATE = "monitor_template"
#: Long enough for a busy machine to pulse in time, short enough to wait for.
SHORT = timedelta(seconds=1.5)
PATIENCE_SECONDS = 30
TENANT = UUID("0190a000-0000-7000-8000-000000000001")


def about(submission_id: UUID) -> Stream:
    """Return the stream of a submission."""
    return Stream(submission_id, events.SUBMISSION, TENANT)


def short_rules(*names: str) -> Sequence[GapRule]:
    """Return these rules, waiting a short time instead of minutes."""
    rules = default_rules(timedelta(seconds=60), timedelta(seconds=10))
    return [replace(rule, after=min(rule.after, SHORT)) for rule in rules if not names or rule.name in names]


@dataclass(slots=True)
class Watch:
    """One database, its read models, and whatever a test wants to let act on it."""

    url: str
    store: PostgresEventStore
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    rules: Sequence[GapRule]
    peers: Peers
    webhook: Webhook
    slack: SlackWebhook
    scheduler: SchedulerServiceStub
    submitter: SubmitterServiceStub
    #: Of the gaps, and of the alerts.
    progress: tuple[ProjectionProgress, ProjectionProgress]
    clock: SystemClock = field(default_factory=SystemClock)
    projecting: dict[str, AsyncExitStack] = field(default_factory=dict[str, AsyncExitStack])

    @property
    def ledger(self) -> Ledger:
        """The log, as the monitor speaks to it."""
        return Ledger(self.store, "monitor")

    @property
    def reads(self) -> Reads:
        """The read models."""
        return Reads(self.pool)

    def judge(self) -> GapJudge:
        """Return a judge that has just begun to look."""
        return GapJudge(
            self.reads,
            self.rules,
            Coverage(self.clock),
            desk=AlertDesk(self.ledger),
            remedies=Remedies(self.ledger, self.scheduler),
            standstill=Standstill(self.reads, self.submitter, self.clock),
            trace_mode="link",
        )

    def notifier(self) -> Notifier:
        """Return a notifier that tells the webhook."""
        return self.notifier_of(self.slack)

    def notifier_of(self, slack: SlackWebhook) -> Notifier:
        """Return a notifier that tells another webhook."""
        return Notifier(self.reads, slack, AlertDesk(self.ledger), "link")

    def judge_desk(self) -> AlertDesk:
        """Return a desk on which a person may answer alerts."""
        return AlertDesk(Ledger(self.store, "staff:test"))

    async def follow(self, name: str) -> None:
        """Let a read model follow the log."""
        projections = {"gaps": GapsProjection(self.rules), "alerts": AlertsProjection()}
        projector = Projector(self.store, self.url, projections[name], role=ROLE, poll_seconds=0.2)
        stack = self.projecting[name] = AsyncExitStack()
        await stack.enter_async_context(projector.running())

    async def hold_back(self, name: str) -> None:
        """Let a read model stand still."""
        await self.projecting.pop(name).aclose()

    async def forget_waits(self) -> None:
        """Let whatever waits for a time be tried now."""
        async with self.reads.of_all() as connection:
            await connection.execute(
                "update monitor.delivery set next_at = clock_timestamp() where next_at <> 'infinity'"
            )

    async def forget_gaps(self) -> None:
        """Begin the read model of the gaps anew."""
        await Projector(self.store, self.url, GapsProjection(self.rules), role=ROLE).replay()

    async def caught_up(self) -> None:
        """Return when the read models cover all that has been appended."""
        for progress in self.progress:
            for lane in (LEDGER_LANE, PULSE_LANE) if progress is self.progress[0] else (LEDGER_LANE,):
                await progress.wait_until(await self.store.head(lane), PATIENCE_SECONDS)

    async def alerts(self) -> Sequence[AlertRow]:
        """Return all alerts of the read model, newest first."""
        await self.caught_up()
        async with self.reads.of_all() as connection:
            return await page_of_alerts(connection, before=2**62, resolved=True, limit=500)

    async def alert(self, alert_id: UUID) -> Alert:
        """Return an alert's state, from its stream."""
        return await self.ledger.load(ALERT, alert_id)

    async def raised(self, *judges: GapJudge, count: int = 1) -> Sequence[AlertRow]:
        """Let judges look until there are so many alerts; return them."""
        return await self.judged(judges, lambda alerts: len(alerts) >= count)

    async def judged(
        self, judges: Sequence[GapJudge], enough: Callable[[Sequence[AlertRow]], bool]
    ) -> Sequence[AlertRow]:
        """Let judges look, side by side, until the alerts are as wanted; return them."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not enough(alerts := await self.alerts()):
                await asyncio.gather(*(judge.run_once() for judge in judges))
        return alerts

    async def told(self, notifier: Notifier, count: int) -> Sequence[str]:
        """Let a notifier work until the webhook has got so many messages; return them."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.webhook.texts) < count:
                await notifier.run_once()
        await self.caught_up()
        return list(self.webhook.texts)

    async def claim(self, submission_id: UUID) -> int:
        """Let a worker claim a submission, and return the version of the claim."""
        claimed = submission_events_pb2.SubmissionClaimed(worker_id="w", attempt=1)
        return await self.append(about(submission_id), claimed)

    async def dead_letter(self, submission_id: UUID | None = None) -> UUID:
        """Let a submission run out of attempts, and return it."""
        submission_id = submission_id or uuid4()
        dead = submission_events_pb2.SubmissionDeadLettered(attempts_used=5)
        await self.append(about(submission_id), dead)
        return submission_id

    async def append(self, stream: Stream, message: Message) -> int:
        """Append, and return the stream's version after it."""
        appended = await self.ledger.append(stream, [message], ANY_VERSION)
        return appended.versions[0]

    async def start_worker(self, worker_id: str) -> None:
        """Let a worker say that it is there."""
        started = system_events_pb2.WorkerStarted(worker_id=worker_id, slots=2)
        await self.append(Stream(identity.worker_stream(worker_id), events.WORKER), started)

    async def pulse_worker(self, worker_id: str) -> None:
        """Let a worker say that it is still there."""
        stream = Stream(identity.worker_stream(worker_id), events.WORKER)
        await self.ledger.pulse(stream, pulse_events_pb2.WorkerPulse(worker_id=worker_id, slots=2))

    async def pulse_attempt(self, submission_id: UUID, claim_version: int) -> None:
        """Let an attempt renew its lease."""
        pulse = pulse_events_pb2.AttemptPulse(submission_id=str(submission_id), claim_version=claim_version)
        await self.ledger.pulse(about(submission_id), pulse)


@asynccontextmanager
async def open_watch(url: str, rules: Sequence[GapRule] | None = None) -> AsyncGenerator[Watch]:
    """Open everything on a migrated database, with read models that follow."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        peers = await enter(peers_served())
        webhook = await enter(webhook_served())
        channel = await enter(open_channel(peers.address, api_key="", clock=clock))
        watch = Watch(
            url=url,
            store=await enter(PostgresEventStore.open(url)),
            pool=await enter(open_pool(url, role=ROLE, application_name="monitor")),
            rules=rules or short_rules(),
            peers=peers,
            webhook=webhook,
            slack=await enter(SlackWebhook.open(webhook.url)),
            scheduler=SchedulerServiceStub(channel),
            submitter=SubmitterServiceStub(channel),
            progress=(_progress(stack, url, "gaps"), _progress(stack, url, "alerts")),
        )
        for name in ("gaps", "alerts"):
            await watch.follow(name)
        try:
            yield watch
        finally:
            for name in list(watch.projecting):
                await watch.hold_back(name)


def _progress(stack: AsyncExitStack, url: str, name: str) -> ProjectionProgress:
    progress = ProjectionProgress(url, name, 1)
    stack.push_async_callback(progress.close)
    return progress


@pytest.fixture(scope="session")
def monitor_template(postgres_cluster: EmbeddedPostgres) -> str:
    """Migrate a database once, to be copied for each test, and return its name."""

    async def make() -> None:
        await migrate(await postgres_cluster.create_database(MONITOR_TEMPLATE, template=TEMPLATE))

    with asyncio.Runner() as runner:
        runner.run(make())
    return MONITOR_TEMPLATE


@pytest_asyncio.fixture
async def watch(postgres_cluster: EmbeddedPostgres, monitor_template: str) -> AsyncIterator[Watch]:
    """Give a monitor's database with read models that follow."""
    async with cloned_database(postgres_cluster, monitor_template) as url, open_watch(url) as opened:
        yield opened
