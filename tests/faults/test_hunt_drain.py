"""A worker that is asked to end while a site keeps it waiting ends in good order all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from directorybolt.job.v1 import job_pb2

from stack.mesh import Mesh, MeshOptions
from tests.doubles.running_job import orders_for
from tests.faults.test_at_most_once import LISTED, QUICK

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def without_given_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests crash what they run on: nothing of the developer's."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DIRECTORYBOLT_SQS", raising=False)


async def test_a_worker_stopped_in_an_attempt_that_does_not_end_is_stopped_and_not_lost(
    tmp_path: Path,
) -> None:
    options = MeshOptions(state_directory=tmp_path / "mesh", environment=QUICK, submitters=1)
    async with Mesh(options) as mesh, orders_for(mesh) as orders:
        held = await orders.sandbox.fault("plain", "hold_form")
        job = await orders.place("plain")
        await orders.state_reached(job, job_pb2.SUBMISSION_STATE_CLAIMED)
        await orders.sandbox.wait("plain", "held")

        await mesh.restart("submitter-1")
        await orders.event("WorkerStopped")
        await orders.sandbox.release(held)
        submission = (await orders.finished(job))["plain"]

        assert (submission.state, submission.attempt) == (LISTED, 2)
        assert await orders.accepted("plain") == 1
