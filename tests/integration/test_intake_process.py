"""The intake process as a whole: its own command, its pulse, its health, and what a plain client sees."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from directorybolt.event.v1 import pulse_events_pb2
from directorybolt.intake.v1 import customers_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from eventstore.migrate import migrate as migrate_event_store
from eventstore.types import PULSE_LANE, Position
from services.projections.migration import migrate
from tests.fix_intake import (
    Caller,
    intake,
    intake_process,
    postgres_cluster,
    services_template,
    variables_for,
)
from tests.fix_postgres import database_url

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_intake import Intake

__all__ = ["database_url", "intake", "postgres_cluster", "services_template"]


async def test_the_process_says_that_it_is_alive(intake: Intake) -> None:
    after = Position(PULSE_LANE, 0)
    async with asyncio.timeout(20):
        while not (page := await intake.store.read_all(after)).events:
            await intake.store.wait_for_news(after, 0.2)
    pulse = pulse_events_pb2.ServicePulse.FromString(page.events[0].payload)
    assert pulse.service == "intake"
    assert str(os.getpid()) in pulse.instance_id


async def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(intake: Intake) -> None:
    for key in ("", "dbk_x", "dbk_staff000_" + "x" * 43):
        refused = await Caller(key, intake.channel).refusal(
            "ListDirectories", customers_pb2.ListDirectoriesRequest()
        )
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")


async def test_a_plain_client_finds_the_service_by_reflection(intake: Intake) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", intake.channel))
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([asked])):
        names = {each.name for each in answer.list_services_response.service}
        assert "directorybolt.intake.v1.IntakeService" in names
        break


async def test_the_migrations_can_be_applied_twice(database_url: str) -> None:
    assert await migrate_event_store(database_url) == []
    first = await migrate(database_url)
    assert "projections/0010_intake_catalogue.sql" in first
    assert await migrate(database_url) == []


async def test_a_read_model_that_is_built_again_says_the_same(intake: Intake, tmp_path: Path) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    await intake.plan(tenant, job.name, ["yellow", "blue"])
    await intake.covered()
    before = await intake.rows()
    await intake.forget_read_models()
    async with intake_process(intake.database_url, tmp_path) as fresh:
        await fresh.covered()
        assert await fresh.rows() == before
    assert before["job"]
    assert before["submission"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_the_command_serves_turns_healthy_and_ends_on_a_signal(
    database_url: str, tmp_path: Path
) -> None:
    await migrate(database_url)
    variables = variables_for(database_url, tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.intake",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    try:
        assert process.stdout
        ports = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['health_port']}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            async with asyncio.timeout(30):
                async for each in watch:
                    if each.status == health_pb2.HealthCheckResponse.SERVING:
                        break
            watch.cancel()
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
