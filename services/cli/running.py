"""The stack that `directorybolt up` keeps running, and how other commands find it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from directorybolt.job.v1 import job_pb2
from directorybolt.monitor.v1 import monitor_service_pb2
from google.protobuf import json_format

from sandbox.catalogue import catalogue
from services.cli import order as steps
from services.cli.connection import connect
from services.cli.progress import open_view
from stack.mesh import Mesh, MeshOptions
from stack.state import StateDirectory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.console import Console

    from services.cli.connection import Connection

UNHEALTHY: Final = monitor_service_pb2.HEALTH_STATE_UNHEALTHY

#: One local customer, however often the command is used.
_CUSTOMER_REQUEST: Final = "7d0c9a52-6d0a-4b6e-9c2e-0a4f1f1f5e01"


@dataclass(frozen=True, slots=True)
class Order:
    """What `directorybolt submit` was asked for."""

    profile: Path
    directories: tuple[str, ...]
    watch: bool
    as_json: bool


class NothingRuns(click.ClickException):
    """No mesh runs here: start one with `./bolt up` in another terminal."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__((self.__doc__ or "").strip())


async def keep_up(console: Console, state_directory: Path, workers: int, *, gateway: bool) -> int:
    """Run the mesh until it is interrupted."""
    options = MeshOptions(
        state_directory=state_directory,
        submitters=workers,
        gateway=gateway,
        report=lambda change: console.print(f"  {change.name:<14} {change.kind}", highlight=False),
    )
    async with Mesh(options) as mesh:
        await _fill_catalogue(mesh)
        console.print("\n[bold]DirectoryBolt is up[/bold]; Ctrl-C stops it")
        for name, address in mesh.addresses.items():
            console.print(f"  {name:<14} {address}", highlight=False)
        console.print(f"  sandbox sites  {mesh.sandbox_origin}", highlight=False)
        console.print("try: .venv/bin/directorybolt submit sandbox/profiles/bakery.json --watch")
        await mesh.wait_for_failure()
    return 1


async def _fill_catalogue(mesh: Mesh) -> None:
    key = mesh.secrets["staff_key"].read_text(encoding="ascii").strip()
    async with connect(mesh.addresses["intake"], key) as staff:
        await steps.import_directories(staff.intake, catalogue(mesh.sandbox_origin or ""))


@asynccontextmanager
async def connect_as_staff(state_directory: Path, service: str) -> AsyncGenerator[Connection]:
    """Open a connection to a service of the running stack.

    Errors: NothingRuns.
    """
    facts = StateDirectory(state_directory).noted()
    if "addresses" not in facts:
        raise NothingRuns
    key = await asyncio.to_thread(Path(facts["staff_key_file"]).read_text, encoding="ascii")
    async with connect(facts["addresses"][service], key.strip()) as connection:
        yield connection


async def submit(console: Console, state_directory: Path, order: Order) -> int:
    """Order listings for a profile, and follow the job when asked to."""
    business = steps.read_profile(order.profile)
    async with connect_as_staff(state_directory, "intake") as staff:
        customer = await steps.create_customer(staff.intake, "Local customer", _CUSTOMER_REQUEST)
        profile = await steps.upsert_profile(staff.intake, customer, business)
        names = [f"directories/{each}" for each in order.directories]
        job = await steps.create_job(staff.intake, customer, profile, names)
        if order.as_json:
            click.echo(json_format.MessageToJson(job, preserving_proto_field_name=True))
        else:
            console.print(f"{job.name} accepted", highlight=False, soft_wrap=True)
        return await _follow(console, staff, job.name) if order.watch else 0


async def _follow(console: Console, connection: Connection, job: str) -> int:
    counts = job_pb2.SubmissionCounts()
    with open_view(console) as view:
        async for news in steps.watch(connection, job):
            view.show(news)
            counts = news.job.counts
    return 1 if counts.dead_lettered or counts.refused else 0
