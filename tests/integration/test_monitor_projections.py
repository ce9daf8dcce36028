"""Operators list read models, build one beside the live one and compare, over real gRPC."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from directorybolt.monitor.v1 import projections_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from psycopg.conninfo import make_conninfo

from services.domain import errors
from services.monitor.projection_desk import ProjectionDesk
from services.projections.reading import Reads
from services.projections.registry import registered
from services.runtime.client import open_channel, peer_errors
from services.runtime.clock import SystemClock
from services.runtime.config import Environment, TimingConfig
from services.runtime.tables.pool import open_pool
from tests.fix_monitor_service import (
    SERVICE_KEY,
    monitor,
    monitor_template,
    postgres_cluster,
    sqs_environment,
)

if TYPE_CHECKING:
    from tests.fix_monitor_service import Monitor

__all__ = ["monitor", "monitor_template", "postgres_cluster", "sqs_environment"]

ALERTS = "projections/alerts"


async def rebuilt(monitor: Monitor, name: str, **asked: bool) -> list[pb.RebuildProjectionResponse]:
    """Build a read model and return what was said meanwhile."""
    request = pb.RebuildProjectionRequest(name=name, **asked)
    with peer_errors():
        return [each async for each in monitor.stub.RebuildProjection(request)]


async def listed(monitor: Monitor) -> dict[str, pb.Projection]:
    """Return the read models by name."""
    answer = await monitor.stub.ListProjections(pb.ListProjectionsRequest())
    return {each.name: each for each in answer.projections}


async def compared(monitor: Monitor, name: str = ALERTS) -> pb.DiffProjectionResponse:
    """Compare a read model with what was built."""
    with peer_errors():
        return await monitor.stub.DiffProjection(pb.DiffProjectionRequest(name=name))


async def test_a_read_model_is_listed_rebuilt_and_compared(monitor: Monitor) -> None:
    await monitor.dead_letter()
    await monitor.raised()
    async with asyncio.timeout(30):
        while (await listed(monitor))[ALERTS].state != pb.PROJECTION_STATE_RUNNING:
            await monitor.store.wait_for_news(await monitor.store.head(), 0.1)

    *_, last = await rebuilt(monitor, ALERTS)

    assert last.done_count == last.total_count > 0
    assert last.remaining_duration.ToSeconds() == 0
    found = await compared(monitor)
    [table] = found.tables
    assert (found.same, table.same, table.table) == (True, True, "alert")
    assert table.live_count == table.rebuilt_count == 1
    assert table.live_digest == table.rebuilt_digest
    shown = (await listed(monitor))[ALERTS]
    assert monitor.sealer.read_position(shown.rebuilt_position, field="x")
    assert monitor.sealer.read_position(last.position, field="x")
    assert "alerts" in shown.explanation

    async with await psycopg.AsyncConnection.connect(monitor.database_url, autocommit=True) as connection:
        await connection.execute("update monitor.alert set summary = 'altered'")
    found = await compared(monitor)
    [row] = found.tables[0].rows
    assert not found.same
    assert [(each.column, json.loads(each.live)) for each in row.columns] == [("summary", "altered")]
    await rebuilt(monitor, ALERTS, start_over=True)


async def test_what_cannot_be_built_or_compared_is_refused_with_the_reason(monitor: Monitor) -> None:
    for name in ("projections/sheep", "alerts", ""):
        with pytest.raises(errors.ProjectionNotFound):
            await rebuilt(monitor, name)
    with pytest.raises(errors.ProjectionStateForbids, match="rebuild it first"):
        await compared(monitor, "projections/gaps")


async def test_only_staff_may_ask(monitor: Monitor) -> None:
    async with open_channel(monitor.address, api_key=SERVICE_KEY, clock=SystemClock()) as channel:
        stub = MonitorServiceStub(channel)
        with pytest.raises(errors.ScopeMissing), peer_errors():
            await stub.ListProjections(pb.ListProjectionsRequest())
        with pytest.raises(errors.ScopeMissing), peer_errors():
            await stub.DiffProjection(pb.DiffProjectionRequest(name=ALERTS))
        with pytest.raises(errors.ScopeMissing), peer_errors():
            _ = [each async for each in stub.RebuildProjection(pb.RebuildProjectionRequest(name=ALERTS))]


async def test_a_login_that_owns_nothing_builds_nothing(monitor: Monitor) -> None:
    login = f"plain_{uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(monitor.database_url, autocommit=True) as connection:
        await connection.execute(f"create role {login} login in role bolt_monitor".encode())
    async with open_pool(monitor.database_url, role="bolt_monitor", application_name="test") as pool:
        desk = ProjectionDesk(
            monitor.store,
            Reads(pool),
            monitor.sealer,
            make_conninfo(monitor.database_url, user=login),
            registered(TimingConfig.read(Environment({}))),
        )
        with pytest.raises(errors.ProjectionStateForbids, match="may not build read models"):
            _ = [each async for each in desk.rebuild(pb.RebuildProjectionRequest(name=ALERTS))]
    async with await psycopg.AsyncConnection.connect(monitor.database_url, autocommit=True) as connection:
        await connection.execute(f"drop role {login}".encode())
