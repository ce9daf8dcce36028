"""During a roll-out the release before meets what the new one writes: it copes, or it says so."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
from directorybolt.event.v1 import submission_events_pb2
from directorybolt.intake.v1 import jobs_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.postgres import PostgresEventStore
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from services.runtime.evidence import FileEvidence
from tests.cloned_database import cloned_database
from tests.doubles.older_release import RELEASE
from tests.fix_intake import (
    MASTER_KEY,
    Intake,
    intake_process,
    postgres_cluster,
    services_template,
    variables_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from stack.postgres import EmbeddedPostgres

__all__ = ["postgres_cluster", "services_template"]

LIMIT_SECONDS = 60
STATE = """
select name, sum(passed_over)::int, max(failed_position), max(paused_release), max(error)
from es.projection group by name
"""


@asynccontextmanager
async def older_release(url: str, folder: Path, *lacking: str) -> AsyncGenerator[Intake]:
    """Run the release before, and give it as tests see it: what they append themselves is of today's."""
    lifeline, ours = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.doubles.older_release"),
        env={
            **os.environ,
            **variables_for(url, folder),
            "PYTHONPATH": ".:proto",
            "LACKING": ",".join(lacking),
            "DIRECTORYBOLT_LIFELINE_FD": str(lifeline),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(lifeline,),
    )
    os.close(lifeline)
    assert process.stdout is not None
    try:
        port = json.loads(await process.stdout.readline())["grpc_port"]
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            PostgresEventStore.open(url) as store,
            Vault(url, LocalMasterKey(bytes.fromhex(MASTER_KEY))) as vault,
        ):
            yield Intake(channel, url, store, vault, FileEvidence(folder / "evidence", vault))
    finally:
        os.close(ours)
        await process.communicate()


async def states(url: str) -> dict[str, tuple[Any, ...]]:
    """Return of each projection how much it passed over, and where, by whom and why it is paused."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute(STATE)).fetchall()
    return {row[0]: row[1:] for row in rows}


async def paused(url: str, *names: str) -> dict[str, tuple[Any, ...]]:
    """Return the states once these are paused."""
    while True:
        found = await states(url)
        if all(found[name][1] for name in names):
            return found
        await asyncio.sleep(0.05)


async def test_the_release_before_passes_over_the_ignorable_and_stops_visibly_at_anything_else(
    postgres_cluster: EmbeddedPostgres, services_template: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), cloned_database(postgres_cluster, services_template) as url:
        async with intake_process(url, tmp_path) as today:
            tenant = await today.tenant()
            await today.catalogue("yellow", "green")
            job = await tenant.order("yellow")
            [submission_id] = await today.plan(tenant, job.name, ["yellow"])
            await today.covered()
        asked = jobs_pb2.GetSubmissionRequest(name=f"{tenant.name}/submissions/{submission_id}")
        async with older_release(url, tmp_path, "FormFilled", "JobPlanned") as before:
            caller = replace(tenant, channel=before.channel)
            filled = submission_events_pb2.FormFilled(attempt=1, fields=["business_name"])
            listed = submission_events_pb2.SubmissionListed(attempt=1)
            await before.append_to_submission(tenant, submission_id, filled, listed)
            await before.covered()
            shown = (await caller.ask("GetSubmission", asked)).submission
            assert shown.state == job_pb2.SUBMISSION_STATE_LISTED
            found = await states(url)
            assert (found["submissions"][0], found["history"][0]) == (1, 1)
            assert found["submissions"][1] is None

            fresh = await caller.order("green")
            await before.plan(tenant, fresh.name, ["green"])
            refused = await caller.refusal("GetJob", jobs_pb2.GetJobRequest(name=fresh.name))
            assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EVENT_UNKNOWN")
            assert "JobPlanned" not in refused.words
            found = await paused(url, "jobs", "submissions", "history")
            _, position, release, error = found["jobs"]
            assert (position, release) == ((await before.store.head()).number, RELEASE)
            assert error.startswith("UnknownEvent: JobPlanned, version 1")
            assert (await caller.ask("GetSubmission", asked)).submission == shown
        async with intake_process(url, tmp_path) as today:
            await today.covered()
            assert {paused_at for _, paused_at, *_ in (await states(url)).values()} == {None}
            caller = replace(tenant, channel=today.channel)
            shown_job = (await caller.ask("GetJob", jobs_pb2.GetJobRequest(name=fresh.name))).job
            assert shown_job.state == job_pb2.JOB_STATE_RUNNING
