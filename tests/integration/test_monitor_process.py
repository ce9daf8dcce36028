"""The monitor as a process of its own: it starts, answers, survives what its peers do, and drains with 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from directorybolt.event.v1 import submission_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub

from eventstore.postgres import PostgresEventStore
from eventstore.types import ANY_VERSION
from services.domain import events
from services.runtime.client import open_channel
from services.runtime.clock import SystemClock
from services.runtime.ledger import Ledger, Stream
from tests.cloned_database import cloned_database
from tests.doubles.peers import peers_served
from tests.doubles.webhook import webhook_served
from tests.fix_monitor import monitor_template, postgres_cluster
from tests.fix_monitor_service import STAFF_KEY, TENANT, variables_for
from tests.fix_queue import sqs_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from stack.postgres import EmbeddedPostgres

__all__ = ["monitor_template", "postgres_cluster", "sqs_environment"]

START_SECONDS_MAX = 60


@asynccontextmanager
async def started(variables: Mapping[str, str]) -> AsyncGenerator[tuple[asyncio.subprocess.Process, Any]]:
    """Run `python -m services.monitor`, and give it with the ports that it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.monitor"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_dead_letter_reaches_slack_from_a_process_that_drains_when_asked(
    postgres_cluster: EmbeddedPostgres,
    monitor_template: str,
    sqs_environment: Mapping[str, str],
    tmp_path: Path,
) -> None:
    async with (
        cloned_database(postgres_cluster, monitor_template) as url,
        peers_served() as peers,
        webhook_served() as webhook,
        PostgresEventStore.open(url) as store,
        started({**sqs_environment, **variables_for(url, tmp_path, peers, webhook)}) as (process, ports),
        open_channel(f"127.0.0.1:{ports['grpc_port']}", api_key=STAFF_KEY, clock=SystemClock()) as channel,
    ):
        submission_id = uuid4()
        dead = submission_events_pb2.SubmissionDeadLettered(attempts_used=5)
        stream = Stream(submission_id, events.SUBMISSION, TENANT)
        await Ledger(store, "submitter").append(stream, [dead], ANY_VERSION)

        [text] = await webhook.took(1)
        following = MonitorServiceStub(channel).ReadAll(
            pb.ReadAllRequest(follow=True, categories=["submission"])
        )
        first = await anext(aiter(following))
        process.send_signal(signal.SIGTERM)

        assert await process.wait() == 0
        assert str(submission_id) in text
        assert first.event.stream_id == str(submission_id)


async def test_a_process_without_its_peers_addresses_says_which_variable_lacks(
    postgres_cluster: EmbeddedPostgres,
    monitor_template: str,
    sqs_environment: Mapping[str, str],
    tmp_path: Path,
) -> None:
    async with (
        cloned_database(postgres_cluster, monitor_template) as url,
        peers_served() as peers,
        webhook_served() as webhook,
    ):
        told = {**variables_for(url, tmp_path, peers, webhook), "DIRECTORYBOLT_SCHEDULER_ADDRESS": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.monitor"),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **sqs_environment, **told},
        )
        _, said = await process.communicate()

    assert process.returncode == 2
    assert b"DIRECTORYBOLT_SCHEDULER_ADDRESS is not set" in said
