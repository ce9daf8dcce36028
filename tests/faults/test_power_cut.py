"""Power is cut in the middle of a job: the same command goes on where it stopped, and clicks once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from directorybolt.job.v1 import job_pb2

from sandbox.client import SandboxClient
from sandbox.sample_profile import variant
from services.cli import order
from services.cli.running import connect_as_staff
from stack.state import StateDirectory
from tests.e2e.commands import COMMAND, environment, up, written
from tests.e2e.programs import succeeded
from tests.fix_mesh import QUICK, ROOT
from tests.fix_processes import needs_proc

if TYPE_CHECKING:
    from pathlib import Path

#: Far from the variants that other tests use.
CUT_OFF = 3_000_000
SITES = ("plain", "long", "slow")


def sites_of(state_directory: Path) -> SandboxClient:
    """Return a client of a running stack's sites."""
    return SandboxClient(StateDirectory(state_directory).noted()["sandbox_origin"])


@needs_proc
async def test_a_job_survives_kill_9_of_everything_and_is_finished_by_the_next_start(tmp_path: Path):
    told = environment(tmp_path, **QUICK)
    business = variant(CUT_OFF)
    wanted = [word for site in SITES for word in ("--directory", f"sandbox-{site}")]
    file = written(tmp_path, business)
    async with up(told) as (program, _):
        ordered = await succeeded(*COMMAND, "submit", file, *wanted, "--json", where=ROOT, environment=told)
        job = json.loads(ordered.output)["name"]
        async with sites_of(tmp_path / "up") as sandbox:
            await sandbox.wait("slow", "form_served")
        program.kill()
        await program.communicate()
    async with up(told), connect_as_staff(tmp_path / "up", "intake") as staff:
        news = [each async for each in order.watch(staff, job)]
        submissions = await staff.submissions(job)
        async with sites_of(tmp_path / "up") as sandbox:
            counts = [
                await sandbox.count(site, name=business.business_name, phone=business.phone) for site in SITES
            ]
    assert news[-1].job.state == job_pb2.JOB_STATE_COMPLETED
    assert counts == [1, 1, 1]
    listed = {job_pb2.SUBMISSION_STATE_LISTED, job_pb2.SUBMISSION_STATE_PENDING_REVIEW}
    assert {each.state for each in submissions} <= listed
    assert max(each.attempt for each in submissions) > 1
