"""The demonstration: the whole mesh starts, one real job travels through it, and its proof is shown.

The sandbox's own counters are asked in the end, because they lie outside of the system: what they say
about "submitted once" is not our opinion.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from directorybolt.job.v1 import job_pb2

from sandbox.catalogue import catalogue, expected
from sandbox.client import SandboxClient
from sandbox.sample_profile import bakery
from services.cli import order, summary
from services.cli.chaos import Assassin
from services.cli.connection import connect
from services.cli.progress import open_view
from services.cli.summary import Outcome
from services.cli.words import last_part
from stack.mesh import Mesh, MeshOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from services.cli.connection import Connection
    from stack.supervisor import Change

#: The demonstration's clock runs faster than the world's: nobody wants to watch a lease run out.
SETTINGS: Final[Mapping[str, str]] = {
    "DIRECTORYBOLT_LEASE_SECONDS": "6",
    "DIRECTORYBOLT_PULSE_SECONDS": "1.5",
    "DIRECTORYBOLT_SWEEP_SECONDS": "1",
    "DIRECTORYBOLT_PERMIT_SECONDS": "15",
    "DIRECTORYBOLT_RETRY_SCALE": "0.05",
    "DIRECTORYBOLT_TRACE_MODE": "parent",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration plays on."""

    mesh: Mesh
    origin: str
    sandbox: SandboxClient
    console: Console
    #: When the command began, on the monotonic clock.
    began: float

    def say_when(self, what: str, moment: float | None = None) -> None:
        """Print what happened, just now or at a moment, and how long after the command that was."""
        seconds = (moment or time.monotonic()) - self.began
        self.console.print(f"{what} {seconds:.1f} s after the command", highlight=False)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the demonstration was asked for."""

    chaos: bool
    workers: int
    #: Keep the mesh running in the end, until Ctrl-C.
    stay: bool


async def run_demo(console: Console, state_directory: Path, wishes: Wishes) -> int:
    """Start the mesh, run one job through it and show what came of it; 0 when all is as expected."""
    began = time.monotonic()
    console.print("[bold]DirectoryBolt[/bold] starts Postgres, a queue, nine web sites and four services")
    options = MeshOptions(
        state_directory=state_directory,
        submitters=wishes.workers,
        environment=SETTINGS,
        report=lambda change: _tell(console, change, began),
    )
    async with Mesh(options) as mesh:
        origin = mesh.sandbox_origin
        if origin is None:
            raise RuntimeError("the demonstration needs the sandbox sites")
        async with SandboxClient(origin) as sandbox:
            code = await _play(Stage(mesh, origin, sandbox, console, began), chaos=wishes.chaos)
        if wishes.stay:
            console.print("\n[bold]The mesh stays up[/bold]; Ctrl-C stops it")
            await mesh.wait_for_failure()
        return code


def _tell(console: Console, change: Change, began: float) -> None:
    note = "" if change.exit_code is None else f" (exit code {change.exit_code})"
    console.print(
        f"  {time.monotonic() - began:5.1f}s  {change.name:<14} {change.kind}{note}", highlight=False
    )


async def _play(stage: Stage, *, chaos: bool) -> int:
    address = stage.mesh.addresses["intake"]
    staff_key = stage.mesh.secrets["staff_key"].read_text(encoding="ascii").strip()
    async with connect(address, staff_key) as staff:
        customer = await order.create_customer(staff.intake, "Demonstration", str(uuid4()))
        key = await order.create_api_key(staff.intake, customer)
        changed = await order.import_directories(staff.intake, catalogue(stage.origin))
    stage.console.print(f"\ncustomer {last_part(customer)} has an API key", highlight=False)
    stage.console.print(f"{changed} directories are in the catalogue")
    async with connect(address, key) as connection:
        profile = await order.upsert_profile(connection.intake, customer, bakery())
        names = [f"directories/{directory}" for directory in expected()]
        job = await order.create_job(connection.intake, customer, profile, names)
        stage.say_when(f"job {last_part(job.name)} was accepted")
        stage.console.print()
        killed = await _follow(stage, connection, job.name, chaos=chaos)
        return await _conclude(stage, connection, job.name, key=key, killed=killed, chaos=chaos)


async def _follow(stage: Stage, connection: Connection, job: str, *, chaos: bool) -> str:
    """Show the job's progress to its end; return the worker that was killed on the way, if any."""
    assassin = Assassin(stage.mesh, stage.sandbox) if chaos else None
    filling_since: float | None = None
    with open_view(stage.console) as view:
        async for news in order.watch(connection, job):
            view.show(news)
            if filling_since is None and news.submission.state == job_pb2.SUBMISSION_STATE_CLAIMED:
                filling_since = time.monotonic()
            if assassin:
                assassin.see(news)
    stage.console.print()
    if filling_since is not None:
        stage.say_when("the first form was being filled in", filling_since)
    stage.say_when("the job was done")
    return await assassin.done() if assassin else ""


async def _conclude(
    stage: Stage, connection: Connection, job: str, *, key: str, killed: str, chaos: bool
) -> int:
    submissions, events = await connection.submissions(job), await connection.events(job)
    folder = stage.mesh.state_dir / "proofs"
    counts = {each: await _accepted(stage.sandbox, each) for each in expected()}
    proofs = await summary.collect_proofs(connection, submissions, folder)
    outcomes = [_outcome(each, counts, proofs) for each in submissions]
    summary.print_outcomes(outcomes, folder, stage.console)
    summary.print_history(events, stage.console)
    await summary.print_health(stage.mesh, stage.console)
    summary.print_next_steps(stage.mesh, job, key, stage.console)
    rescues = sum(event.HasField("lease_reaped") for event in events)
    if chaos:
        stage.console.print(
            f"\n[bold]Chaos[/bold]: {killed or 'no worker'} was killed in mid-form; {rescues} rescue(s)"
        )
    whole = len(outcomes) == len(expected()) and all(each.as_expected for each in outcomes)
    return 0 if whole and (not chaos or (killed and rescues)) else 1


async def _accepted(sandbox: SandboxClient, directory: str) -> int:
    return sum((await sandbox.counts(directory.removeprefix("sandbox-"))).values())


def _outcome(
    submission: job_pb2.Submission, counts: Mapping[str, int], proofs: Mapping[str, Sequence[Path]]
) -> Outcome:
    directory = last_part(submission.directory)
    wanted = expected()[directory]
    return Outcome(
        submission=submission,
        expected_state=job_pb2.SubmissionState.Value(wanted.state),
        expected_count=wanted.posts,
        count=counts[directory],
        proofs=proofs.get(directory, ()),
    )
