"""A site accepts a submission once, whatever happens to workers, messages and the database.

Real processes, killed and frozen for real. The witness is the sites' own counter, which lies outside of the
system; the log is asked only for how it went.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from directorybolt.job.v1 import job_pb2

from sandbox.catalogue import expected
from stack.mesh import Mesh, MeshOptions
from stack.queue_server import QueueServer
from tests.doubles.doubling_queue import doubling
from tests.doubles.running_job import PATIENCE_SECONDS, Orders, orders_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

QUICK = {
    "DIRECTORYBOLT_LEASE_SECONDS": "4",
    "DIRECTORYBOLT_PULSE_SECONDS": "1",
    "DIRECTORYBOLT_SWEEP_SECONDS": "0.5",
    "DIRECTORYBOLT_PERMIT_SECONDS": "5",
    "DIRECTORYBOLT_RETRY_SCALE": "0.02",
    "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "100000",
}
LISTED = job_pb2.SUBMISSION_STATE_LISTED


@pytest.fixture(autouse=True)
def without_given_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests crash what they run on: nothing of the developer's."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DIRECTORYBOLT_SQS", raising=False)


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncGenerator[Mesh]:
    async with Mesh(MeshOptions(state_directory=tmp_path / "mesh", environment=QUICK)) as running:
        yield running


@pytest.fixture
async def orders(mesh: Mesh) -> AsyncGenerator[Orders]:
    async with orders_for(mesh) as opened:
        yield opened


async def test_a_worker_killed_before_its_permit_is_replaced_and_the_site_counts_one(
    mesh: Mesh, orders: Orders
) -> None:
    held = await orders.sandbox.fault("plain", "hold_form")
    job = await orders.place("plain")
    claimed = await orders.state_reached(job, job_pb2.SUBMISSION_STATE_CLAIMED)
    await orders.sandbox.wait("plain", "held")

    await mesh.kill(claimed.worker.removeprefix("workers/"), restart=False)
    await orders.sandbox.release(held)
    submission = (await orders.finished(job))["plain"]

    types = await orders.types(submission)
    assert await orders.accepted("plain") == 1
    assert submission.state == LISTED
    assert submission.attempt == 2
    assert types.index("LeaseReaped") < types.index("SubmitPermitted")
    assert types.count("SubmitPermitted") == 1


async def test_a_worker_killed_between_permit_and_report_is_not_repeated_but_verified(
    mesh: Mesh, orders: Orders
) -> None:
    held = await orders.sandbox.fault("plain", "hold_answer")
    job = await orders.place("plain")
    permitted = await orders.state_reached(job, job_pb2.SUBMISSION_STATE_PERMITTED)
    await orders.sandbox.wait("plain", "held")

    await mesh.kill(permitted.worker.removeprefix("workers/"), restart=False)
    await orders.sandbox.release(held)
    submission = (await orders.finished(job))["plain"]

    types = await orders.types(submission)
    assert await orders.accepted("plain") == 1
    assert submission.state == LISTED
    assert types.count("SubmitPermitted") == 1
    assert types.index("LeaseReaped") < types.index("SubmissionUncertain") < types.index("SubmissionListed")


async def test_a_worker_frozen_between_permit_and_click_cannot_click_when_it_goes_on(
    mesh: Mesh, orders: Orders
) -> None:
    held = await orders.sandbox.fault("plain", "hold_form")
    job = await orders.place("plain")
    claimed = await orders.state_reached(job, job_pb2.SUBMISSION_STATE_CLAIMED)
    worker = claimed.worker.removeprefix("workers/")
    await orders.sandbox.wait("plain", "held")

    async with permit_under_way(mesh.database_url) as reached:
        await orders.sandbox.release(held)
        await reached()
        mesh.freeze(worker)
    submission = (await orders.finished(job))["plain"]
    settled_by = submission.worker
    mesh.thaw(worker)
    await orders.event("AttemptFenced")

    types = await orders.types(submission)
    assert await orders.accepted("plain") == 1
    assert submission.state == LISTED
    assert settled_by != claimed.worker
    assert types.count("SubmitPermitted") == 2
    assert types.index("SubmissionUncertain") < types.index("AbsenceProven")


async def test_a_restart_of_postgres_in_mid_run_rescues_nobody_falsely(mesh: Mesh, orders: Orders) -> None:
    held = await orders.sandbox.fault("plain", "hold_form")
    job = await orders.place(*(directory.removeprefix("sandbox-") for directory in expected()))
    await orders.sandbox.wait("plain", "held")

    await mesh.restart_postgres()
    await orders.sandbox.release(held)
    submissions = await orders.finished(job)

    for directory, wanted in expected().items():
        submission = submissions[directory.removeprefix("sandbox-")]
        assert job_pb2.SubmissionState.Name(submission.state) == wanted.state, directory
        assert await orders.accepted(directory.removeprefix("sandbox-")) == wanted.posts, directory
        assert "LeaseReaped" not in await orders.types(submission), directory


async def test_every_message_delivered_twice_is_worked_off_once(tmp_path: Path) -> None:
    server = QueueServer(log_path=tmp_path / "queue.log", scratch=tmp_path / "queue")
    await server.start()
    try:
        async with doubling(server.endpoint) as (queue, address):
            environment = {**QUICK, "AWS_ENDPOINT_URL_SQS": address}
            options = MeshOptions(state_directory=tmp_path / "mesh", environment=environment)
            async with Mesh(options) as mesh, orders_for(mesh) as orders:
                await everything_once(orders)
            assert queue.doubled >= len(expected())
    finally:
        await server.stop()


async def everything_once(orders: Orders) -> None:
    job = await orders.place(*(each.removeprefix("sandbox-") for each in expected()))
    submissions = await orders.finished(job)
    for directory, wanted in expected().items():
        site = directory.removeprefix("sandbox-")
        types = await orders.types(submissions[site])
        assert await orders.accepted(site) == wanted.posts, site
        assert types.count("SubmissionClaimed") == types.count("SubmissionDispatched"), site


async def test_two_jobs_for_the_same_profile_and_directory_share_one_submission(orders: Orders) -> None:
    first, second = await asyncio.gather(orders.place("plain"), orders.place("plain"))

    (one,), (other,) = [(await orders.finished(job)).values() for job in (first, second)]

    assert await orders.accepted("plain") == 1
    assert one.name == other.name
    assert sorted(other.jobs) == sorted([first, second])
    assert (await orders.types(one)).count("SubmitPermitted") == 1


class permit_under_way:  # noqa: N801  # reads as the moment that it is
    """Hold the append of SubmitPermitted inside of the database, from when it has begun until it may end.

    The trigger is made under the lock of the appends, so that none of them can meet it half-way; it is
    left behind, since a shared lock that nobody opposes holds nothing up.
    """

    _SET = """
select pg_advisory_lock(x'6573'::int, 0);
create function public.hold_permit() returns trigger language plpgsql as $$
begin
  if (select name from es.event_type where id = new.event_type) = 'SubmitPermitted' then
    perform pg_advisory_xact_lock_shared(77701);
  end if;
  return new;
end $$;
create trigger hold_permit before insert on es.event for each row execute function public.hold_permit();
select pg_advisory_lock(77701);
select pg_advisory_unlock(x'6573'::int, 0);
"""
    _UNSET = "select pg_advisory_unlock(77701)"
    _WAITING = "select count(*) from pg_locks where locktype = 'advisory' and objid = 77701 and not granted"

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    async def __aenter__(self) -> Any:
        self._connection = await psycopg.AsyncConnection.connect(self._database_url, autocommit=True)
        await self._connection.execute(self._SET)
        return self._reached

    async def __aexit__(self, *_: object) -> None:
        await self._connection.execute(self._UNSET)
        await self._connection.close()

    async def _reached(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                cursor = await self._connection.execute(self._WAITING)
                if await cursor.fetchone() != (0,):
                    return
                await asyncio.sleep(0.01)
