"""Monitor and scheduler together: a lease that nobody took away is reaped by the one on the other's word."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
from directorybolt.job.v1 import job_pb2
from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

from services.domain.alert import AlertState
from services.projections.reading import Reads
from services.runtime.clock import SystemClock
from services.runtime.tokens import TokenSealer
from services.scheduler.dead_letter_desk import DeadLetterDesk
from services.scheduler.rescue import Rescue
from services.scheduler.servicer import SchedulerServicer, hosted
from tests.cloned_database import cloned_database
from tests.fix_monitor import monitor_template, open_watch, postgres_cluster, short_rules
from tests.fix_scheduler import open_stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from stack.postgres import EmbeddedPostgres
    from tests.fix_scheduler import Stage

__all__ = ["monitor_template", "postgres_cluster"]


@asynccontextmanager
async def scheduler_served(stage: Stage) -> AsyncGenerator[SchedulerServiceStub]:
    """Serve the scheduler's own methods, without its loops, and give a stub."""
    reads, clock = Reads(stage.pool), SystemClock()
    rescue = Rescue(stage.ledger, reads, clock, draw=random.random, retry_scale=1.0)
    desk = DeadLetterDesk(stage.ledger, reads)
    server = grpc.aio.server()
    hosted(SchedulerServicer(reads, rescue, desk, TokenSealer(b"t" * 32, clock))).attach(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield SchedulerServiceStub(channel)
    finally:
        await server.stop(None)


async def test_an_attempt_that_fell_silent_is_rescued_by_the_monitor_and_its_alert_resolves_itself(
    postgres_cluster: EmbeddedPostgres, monitor_template: str
) -> None:
    async with (
        cloned_database(postgres_cluster, monitor_template) as url,
        open_stage(url) as stage,
        open_watch(url, short_rules("stale_submission")) as opened,
        scheduler_served(stage) as scheduler,
    ):
        watch = replace(opened, scheduler=scheduler)
        await stage.catalogue("yellow")
        await stage.order("yellow")
        await stage.plan()
        await stage.dispatch()
        [claimed] = await stage.worker.claim_all()

        [alert] = await watch.judged(
            [watch.judge()], lambda alerts: any(each.state is AlertState.RESOLVED for each in alerts)
        )

        rescued = await stage.submission("yellow")
        assert alert.subject == f"submissions/{claimed.submission_id}"
        assert rescued.state == job_pb2.SUBMISSION_STATE_RETRYING
        assert not await stage.worker.list_it(claimed), "the late worker is fenced"
        history = await stage.types(UUID(claimed.submission_id))
        assert history.count("LeaseReaped") == 1
