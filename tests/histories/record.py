"""Record golden histories from a real mesh: `python -m tests.histories.record [NAME …]`.

A recorded history is replayed for ever by test_replay.py: new ones come beside the old, under names of their
own, never over them. Each way through the states has one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from directorybolt.intake.v1 import jobs_pb2
from directorybolt.job.v1 import job_pb2

from stack.mesh import Mesh, MeshOptions
from tests.doubles.running_job import Orders, orders_for
from tests.histories.replayed import replayed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

FOLDER = Path(__file__).parent
QUICK = {
    "DIRECTORYBOLT_LEASE_SECONDS": "4",
    "DIRECTORYBOLT_PULSE_SECONDS": "1",
    "DIRECTORYBOLT_SWEEP_SECONDS": "0.5",
    "DIRECTORYBOLT_PERMIT_SECONDS": "5",
    "DIRECTORYBOLT_RETRY_SCALE": "0.02",
}


async def _straight(_mesh: Mesh, orders: Orders, site: str) -> str:
    return await orders.place(site)


async def _rescued(mesh: Mesh, orders: Orders, site: str) -> str:
    return await _killed(mesh, orders, site, "hold_form", job_pb2.SUBMISSION_STATE_CLAIMED)


async def _verified(mesh: Mesh, orders: Orders, site: str) -> str:
    return await _killed(mesh, orders, site, "hold_answer", job_pb2.SUBMISSION_STATE_PERMITTED)


async def _killed(
    mesh: Mesh, orders: Orders, site: str, fault: str, state: job_pb2.SubmissionState.ValueType
) -> str:
    held = await orders.sandbox.fault(site, fault)
    job = await orders.place(site)
    submission = await orders.state_reached(job, state)
    await orders.sandbox.wait(site, "held")
    await mesh.kill(submission.worker.removeprefix("workers/"), restart=False)
    await orders.sandbox.release(held)
    return job


async def _cancelled(_mesh: Mesh, orders: Orders, site: str) -> str:
    held = await orders.sandbox.fault(site, "hold_form")
    job = await orders.place(site)
    await orders.sandbox.wait(site, "held")
    await orders.connection.intake.CancelJob(jobs_pb2.CancelJobRequest(name=job, reason="recorded"))
    await orders.sandbox.release(held)
    return job


WAYS: Mapping[str, tuple[str, Callable[[Mesh, Orders, str], Awaitable[str]]]] = {
    "listed": ("plain", _straight),
    "in_review": ("long", _straight),
    "wizard": ("wizard", _straight),
    "retried": ("flaky", _straight),
    "to_be_confirmed": ("mail", _straight),
    "already_listed": ("already", _straight),
    "needs_a_person": ("captcha", _straight),
    "rescued": ("plain", _rescued),
    "verified": ("plain", _verified),
    "cancelled": ("plain", _cancelled),
    "cancelled_with_sealed_words": ("plain", _cancelled),
}


async def record(name: str) -> None:
    """Walk one way on a mesh of its own, and write the submission's and the job's history."""
    site, walk = WAYS[name]
    with tempfile.TemporaryDirectory() as scratch:
        options = MeshOptions(state_directory=Path(scratch) / "mesh", environment=QUICK)
        async with Mesh(options) as mesh, orders_for(mesh) as orders:
            job = await walk(mesh, orders, site)
            (submission,) = (await orders.finished(job)).values()
            await _write(orders, "submission", name, submission.name)
            await _write(orders, "job", name, job)


async def _write(orders: Orders, aggregate: str, name: str, resource: str) -> None:
    stored = await orders.store.read_stream(UUID(resource.rpartition("/")[2]))
    events: list[dict[str, Any]] = [
        {
            "event_type": each.event_type,
            "schema_version": each.schema_version,
            "recorded_at": each.recorded_at.isoformat(),
            "payload": base64.b64encode(each.payload).decode(),
        }
        for each in stored
    ]
    history = {"aggregate": aggregate, "events": events, "state": replayed(aggregate, events)}
    path = FOLDER / f"{aggregate}_{name}.json"
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(history, indent=1) + "\n")


if __name__ == "__main__":
    for way in sys.argv[1:] or WAYS:
        asyncio.run(record(way))
