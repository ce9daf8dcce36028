"""The whole mesh loses its queue server, or is stopped and started again, while a job is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from directorybolt.job.v1 import job_pb2

from eventstore.postgres import PostgresEventStore
from sandbox.catalogue import expected
from sandbox.client import SandboxClient
from services.cli.connection import connect
from stack.mesh import Mesh, MeshOptions
from tests.doubles.running_job import Orders, orders_for
from tests.faults.test_at_most_once import QUICK

if TYPE_CHECKING:
    from pathlib import Path

SITES = [each.removeprefix("sandbox-") for each in expected()]


@pytest.fixture(autouse=True)
def without_given_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests crash what they run on: nothing of the developer's."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DIRECTORYBOLT_SQS", raising=False)


@pytest.fixture
def options(tmp_path: Path) -> MeshOptions:
    return MeshOptions(state_directory=tmp_path / "mesh", environment=QUICK)


async def every_site_did_as_expected(orders: Orders, job: str) -> None:
    submissions = await orders.finished(job)
    for directory, wanted in expected().items():
        site = directory.removeprefix("sandbox-")
        assert job_pb2.SubmissionState.Name(submissions[site].state) == wanted.state, site
        assert await orders.accepted(site) == wanted.posts, site


async def test_a_queue_server_that_forgets_everything_costs_neither_work_nor_workers(
    options: MeshOptions,
) -> None:
    async with Mesh(options) as mesh, orders_for(mesh) as orders:
        held = await orders.sandbox.fault("plain", "hold_form")
        job = await orders.place(*SITES)
        await orders.sandbox.wait("plain", "held")

        await mesh.restart("queue", kill=True)
        await orders.sandbox.release(held)

        await every_site_did_as_expected(orders, job)


async def test_a_mesh_that_is_stopped_in_mid_job_ends_the_job_when_it_starts_again(
    options: MeshOptions,
) -> None:
    async with Mesh(options) as mesh, orders_for(mesh) as before:
        held = await before.sandbox.fault("plain", "hold_form")
        job = await before.place(*SITES)
        await before.sandbox.wait("plain", "held")
        await before.sandbox.release(held)
        origin = mesh.sandbox_origin

    async with Mesh(options) as mesh:
        # The catalogue is the last run's: it must lead to the sites of this one.
        assert mesh.sandbox_origin == origin
        staff_key = mesh.secrets["staff_key"].read_text(encoding="ascii").strip()
        async with (
            connect(mesh.addresses["intake"], staff_key) as staff,
            SandboxClient(mesh.sandbox_origin or "") as sandbox,
            PostgresEventStore.open(mesh.database_url) as store,
        ):
            await every_site_did_as_expected(Orders(staff, sandbox, store), job)
