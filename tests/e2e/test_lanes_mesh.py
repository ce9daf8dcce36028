"""The whole mesh on a ledger of three lanes: customers of every lane are served, rescued and audited."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest_asyncio
from directorybolt.intake.v1 import jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as monitor_pb2

from eventstore.lanes import lane_of
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from sandbox.client import SandboxClient
from stack.mesh import Mesh, MeshOptions
from stack.postgres import EmbeddedPostgres
from tests.fix_mesh import GIVEN, QUICK, RunningMesh, fill_catalogue
from tests.several_lanes import LANES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    import pytest

    from tests.fix_mesh import Caller, Customer


@pytest_asyncio.fixture
async def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mesh]:
    """Run a mesh on a database that was made with three lanes."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    async with EmbeddedPostgres.throwaway() as postgres:
        url = await postgres.create_database("lanes")
        await migrate(url, settings={"lanes": str(LANES)})
        monkeypatch.setenv("DATABASE_URL", url)
        async with Mesh(MeshOptions(state_directory=tmp_path / "mesh", environment=QUICK)) as running:
            await fill_catalogue(RunningMesh.of(running))
            yield running


async def one_of_each_lane(running: RunningMesh, stack: AsyncExitStack) -> Sequence[Customer]:
    """Take customers on until every lane has one; return them by lane."""
    found: dict[int, Customer] = {}
    while len(found) < LANES:
        customer = await stack.enter_async_context(running.customer())
        found.setdefault(lane_of(UUID(customer.name.rpartition("/")[2]), LANES), customer)
    return [found[lane] for lane in range(LANES)]


async def finished(customer: Customer, job: str) -> job_pb2.SubmissionState.ValueType:
    """Watch a job to its end and return what became of its one submission."""
    async for _ in customer.watch(job):
        pass
    (submission,) = await customer.submissions(job)
    return submission.state


async def read_all(monitor: Caller, after: str = "", seconds: float = 30) -> Sequence[Any]:
    """Return all events of the ledger after a position, as an auditor reads them."""
    request = monitor_pb2.ReadAllRequest(after_position=after)
    return [answer.event async for answer in monitor.stream("ReadAll", request, seconds)]


async def test_a_mesh_serves_and_shows_the_customers_of_every_lane(mesh: Mesh) -> None:
    running = RunningMesh.of(mesh)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sandbox = await enter(SandboxClient(running.sandbox_origin))
        customers = await one_of_each_lane(running, stack)
        jobs = [await customer.order("sandbox-plain") for customer in customers]
        for customer, job in zip(customers, jobs, strict=True):
            assert await finished(customer, job.name) == job_pb2.SUBMISSION_STATE_LISTED
            assert await customer.count(sandbox, "plain") == 1
            position = (await customer.ask("GetJob", jobs_pb2.GetJobRequest(name=job.name))).job.position
            request = jobs_pb2.ListJobsRequest(parent=customer.name, min_position=position)
            listed = (await customer.ask("ListJobs", request)).jobs
            assert [(each.name, each.state) for each in listed] == [(job.name, job_pb2.JOB_STATE_COMPLETED)]

        await rescued(mesh, sandbox, customers[2])
        await assert_audited(running, await enter(running.staff("monitor")))


async def rescued(mesh: Mesh, sandbox: SandboxClient, customer: Customer) -> None:
    """Kill the worker that has a customer's form open, and see another finish it."""
    held = await sandbox.fault("long", "hold_form")
    job = await customer.order("sandbox-long")
    await sandbox.wait("long", "held")
    for worker in ("submitter-1", "submitter-2"):
        await mesh.kill(worker)
    await sandbox.release(held)

    await finished(customer, job.name)

    assert await customer.count(sandbox, "long") == 1


async def assert_audited(running: RunningMesh, monitor: Caller) -> None:
    """Read, resume and verify the ledger over all its lanes."""
    events = await read_all(monitor)
    async with PostgresEventStore.open(running.database_url) as store:
        heads = [(await store.head(lane)).number for lane in range(LANES)]
    ids = {each.event_id for each in events}
    assert all(heads)
    assert len(events) == len(ids) <= sum(heads)
    for place in (1, len(events) // 3, len(events) // 2, len(events) - 1):
        rest = await read_all(monitor, events[place - 1].position)
        assert {each.event_id for each in events[place:]} <= {each.event_id for each in rest}
        assert not {each.event_id for each in events[:place]} & {each.event_id for each in rest}
    verified = await monitor.ask("VerifyLog", monitor_pb2.VerifyLogRequest())
    assert verified.intact
    assert verified.events_count >= len(events)
    health = await monitor.ask("GetHealth", monitor_pb2.GetHealthRequest())
    assert health.state != monitor_pb2.HEALTH_STATE_UNHEALTHY, health
