"""The scheduler on a real Postgres: its read model kept up to date, its loops stepped by the test."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import job_events_pb2, system_events_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.errors import EventStoreError
from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import ANY_VERSION, LEDGER_LANE, NO_STREAM, PULSE_LANE
from services.domain import events, identity
from services.domain.attempts import duration
from services.projections.migration import migrate
from services.projections.scheduling import SchedulingProjection
from services.runtime.clock import SystemClock
from services.runtime.coverage import Coverage
from services.runtime.ledger import Ledger, Stream, Why, job_stream
from services.runtime.queue_memory import MemoryQueue
from services.runtime.tables.pool import open_pool
from services.scheduler.canceller import Canceller
from services.scheduler.completer import Completer
from services.scheduler.dispatch_sweeper import DispatchSweeper
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.fair_share import FairShare
from services.scheduler.lease_reaper import LeaseReaper
from services.scheduler.planner import Planner
from services.scheduler.settings import SchedulerSettings
from tests.cloned_database import cloned_database
from tests.doubles.breaking_store import BreakingStore
from tests.doubles.quick_worker import QuickWorker
from tests.fix_postgres import postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from eventstore.store import EventStore
    from eventstore.types import Position
    from services.domain.job import Job
    from services.domain.kinds import Package, Priority
    from services.domain.submission import Submission
    from services.runtime.config import TraceMode
    from services.runtime.queue import WorkQueue
    from stack.postgres import EmbeddedPostgres

__all__ = ["postgres_cluster", "stage"]

ROLE = "bolt_scheduler"
SETTINGS = SchedulerSettings(
    dispatch_patience=timedelta(seconds=60),
    worker_silence=timedelta(seconds=30),
    ageing=timedelta(minutes=10),
    window_without_workers=100,
    retry_scale=1.0,
    trace_mode="parent",
)


@dataclass(slots=True)
class Stage:
    """One database, its read model, and whatever a test wants to let act on it."""

    store: PostgresEventStore
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    projector: Projector
    queue: WorkQueue
    settings: SchedulerSettings = SETTINGS
    clock: SystemClock = field(default_factory=SystemClock)
    customer_id: str = field(default_factory=lambda: str(uuid4()))
    profile_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def ledger(self) -> Ledger:
        """The log, as the scheduler speaks to it."""
        return Ledger(self.store, "scheduler")

    @property
    def worker(self) -> QuickWorker:
        """A worker with a long lease."""
        return QuickWorker(self.ledger, self.queue)

    def use_trace_mode(self, mode: TraceMode) -> None:
        """Have the loops cut traces this way."""
        self.settings = replace(self.settings, trace_mode=mode)

    def planner(self) -> Planner:
        """Return a planner of its own."""
        return Planner(self.ledger, self.pool, self.clock, self.settings.trace_mode)

    def dispatcher(self, store: EventStore | None = None) -> Dispatcher:
        """Return a dispatcher of its own, with turns of its own, perhaps on a store of its own."""
        return Dispatcher(
            Ledger(store or self.store, "scheduler"),
            self.pool,
            self.queue,
            share=FairShare(self.settings.ageing),
            settings=self.settings,
            caught_up=self.covers,
        )

    def sweeper(self, patience: timedelta) -> DispatchSweeper:
        """Return a sweeper of its own."""
        return DispatchSweeper(self.ledger, self.pool, patience)

    def reaper(self) -> LeaseReaper:
        """Return a reaper that has just begun to look."""
        return LeaseReaper(self.ledger, self.pool, Coverage(self.clock), lambda: 0.0, 1.0)

    def completer(self) -> Completer:
        """Return a completer of its own."""
        return Completer(self.ledger, self.pool, self.settings.trace_mode)

    def canceller(self) -> Canceller:
        """Return a canceller of its own."""
        return Canceller(self.ledger, self.pool)

    async def covers(self, position: Position) -> None:
        """Return when the read model covers a position."""
        await self.projector.wait_until(position, 20)

    async def caught_up(self) -> None:
        """Return when the read model covers all that has been appended."""
        for lane in (LEDGER_LANE, PULSE_LANE):
            await self.covers(await self.store.head(lane))

    async def catalogue(
        self, *directory_ids: str, authority: int = 50, at_once: int = 1, gap: timedelta = timedelta(0)
    ) -> None:
        """Enter directories into the catalogue."""
        for directory_id in directory_ids:
            entry = directory_pb2.Directory(
                name=f"directories/{directory_id}",
                state=directory_pb2.DIRECTORY_STATE_SUBMITTABLE,
                authority=authority,
                politeness=directory_pb2.Politeness(attempts_at_once_max=at_once, gap_min=duration(gap)),
            )
            stream = Stream(identity.directory_stream(directory_id), events.DIRECTORY)
            catalogued = system_events_pb2.DirectoryCatalogued(directory=entry)
            await self.ledger.append(stream, [catalogued], ANY_VERSION)

    async def order(
        self,
        *directory_ids: str,
        customer_id: str = "",
        profile_id: str = "",
        package: Package = job_pb2.PACKAGE_STARTER,
        priority: Priority = job_pb2.PRIORITY_P3,
    ) -> str:
        """Accept a job and return its id once the read model knows it."""
        job_id, customer_id = str(uuid4()), customer_id or self.customer_id
        accepted = job_events_pb2.JobAccepted(
            job_id=job_id,
            customer_id=customer_id,
            profile_id=profile_id or self.profile_id,
            profile_version=1,
            directory_ids=directory_ids,
            package=package,
            priority=priority,
        )
        await self.ledger.append(
            job_stream(job_id, customer_id), [accepted], NO_STREAM, Why(correlation_id=UUID(job_id))
        )
        await self.caught_up()
        return job_id

    async def cancel(self, job_id: str) -> None:
        """Ask for a cancel, as intake does."""
        asked = job_events_pb2.JobCancelRequested(job_id=job_id)
        await self.ledger.append(job_stream(job_id, self.customer_id), [asked], ANY_VERSION)
        await self.caught_up()

    async def plan(self) -> None:
        """Let a planner work until nothing waits for it."""
        await self.planner().run_once()
        await self.caught_up()

    async def plan_until_broken(self, *, appends: int, after: bool = False) -> None:
        """Let a planner work until its store breaks, before or after one append more than so many."""
        broken = Ledger(BreakingStore(self.store, appends, after), "scheduler")
        with pytest.raises((EventStoreError, ExceptionGroup)):
            await Planner(broken, self.pool, self.clock, self.settings.trace_mode).run_once()
        await self.caught_up()

    async def dispatch(self) -> None:
        """Let a dispatcher do one round."""
        await self.dispatcher().run_once()
        await self.caught_up()

    async def job(self, job_id: str) -> Job:
        """Return a job's state."""
        return await self.ledger.job(job_id)

    async def submission(self, directory_id: str, generation: int = 1) -> Submission:
        """Return the state of the profile's submission to a directory."""
        return await self.ledger.submission(
            str(identity.submission_id_for(self.profile_id, directory_id, generation))
        )

    async def types(self, stream_id: UUID) -> Sequence[str]:
        """Return the event types of a stream."""
        return [each.event_type for each in await self.ledger.history(stream_id)]

    async def until(self, what: LiteralString) -> None:
        """Return when a query on the database is true; the test's time limit ends it otherwise."""
        async with self.pool.connection() as connection:
            while True:
                cursor = await connection.execute(what)
                if (await cursor.fetchone()) == (True,):
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_stage(url: str, settings: SchedulerSettings = SETTINGS) -> AsyncGenerator[Stage]:
    """Open everything on a migrated database, with a projector that follows."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresEventStore.open(url))
        pool = await stack.enter_async_context(open_pool(url, role=ROLE, application_name="scheduler"))
        projector = Projector(store, url, SchedulingProjection(), role=ROLE, poll_seconds=0.2)
        await stack.enter_async_context(projector.running())
        yield Stage(store, pool, projector, MemoryQueue(SystemClock()), settings)


@asynccontextmanager
async def scheduler_database(cluster: EmbeddedPostgres) -> AsyncGenerator[str]:
    """Give a database with everything in it, dropped afterwards."""
    async with cloned_database(cluster) as url:
        await migrate(url)
        yield url


@pytest_asyncio.fixture
async def stage(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[Stage]:
    """Give a scheduler's database with a read model that follows."""
    async with scheduler_database(postgres_cluster) as url, open_stage(url) as opened:
        yield opened
