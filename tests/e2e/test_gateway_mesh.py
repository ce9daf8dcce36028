"""The whole mesh with a gateway that all of it appends through, and that dies in mid-job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from directorybolt.job.v1 import job_pb2

from eventstore.audit.verify import verify
from sandbox.catalogue import expected
from stack.mesh import Mesh, MeshOptions
from tests.doubles.running_job import orders_for
from tests.e2e.programs import grpcurl
from tests.fix_mesh import GIVEN, QUICK

if TYPE_CHECKING:
    from pathlib import Path

APPENDERS = "select count(*) from pg_stat_activity where application_name like 'eventstore append%'"


async def appenders(mesh: Mesh) -> int:
    """Return over how many connections events are appended."""
    async with await psycopg.AsyncConnection.connect(mesh.database_url) as connection:
        row = await (await connection.execute(APPENDERS)).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture(autouse=True)
def without_given_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mesh of the test's own: nothing of the developer's."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


async def test_a_mesh_appends_through_its_gateway_and_outlives_it(tmp_path: Path) -> None:
    options = MeshOptions(state_directory=tmp_path / "mesh", submitters=2, gateway=True, environment=QUICK)
    async with Mesh(options) as mesh, orders_for(mesh) as orders:
        first = await orders.finished(await orders.place("plain"))
        assert first["plain"].state == job_pb2.SUBMISSION_STATE_LISTED
        listed = await grpcurl(mesh.addresses["gateway"], "list", "directorybolt.gateway.v1.AppendService")
        assert listed.output.split() == ["directorybolt.gateway.v1.AppendService.Append"]
        # The ledger's connection and the pulses': the gateway's, and nobody else's.
        assert await appenders(mesh) == 2

        held = await orders.sandbox.fault("long", "hold_form")
        job = await orders.place("plain", "long")
        await orders.sandbox.wait("long", "held")
        await mesh.kill("gateway")
        await orders.sandbox.release(held)
        submissions = await orders.finished(job)

        wanted = expected()["sandbox-long"]
        assert job_pb2.SubmissionState.Name(submissions["long"].state) == wanted.state
        assert (await orders.accepted("plain"), await orders.accepted("long")) == (1, wanted.posts)
        assert (await verify(orders.store)).defect is None
