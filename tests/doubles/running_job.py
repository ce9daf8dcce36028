"""One customer's orders against a running mesh, through its public API, and the log beside it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Position
from sandbox.catalogue import catalogue
from sandbox.client import SandboxClient
from sandbox.sample_profile import bakery
from services.cli import order
from services.cli.connection import connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from directorybolt.job.v1 import job_pb2

    from services.cli.connection import Connection
    from stack.mesh import Mesh

PATIENCE_SECONDS = 90.0
BUSINESS = {"name": bakery().business_name, "phone": bakery().phone}


class Orders:
    """What a customer sees, what the sites have counted, and what the log holds."""

    def __init__(self, connection: Connection, sandbox: SandboxClient, store: PostgresEventStore) -> None:
        self.connection = connection
        self.sandbox = sandbox
        self.store = store
        self.customer = ""
        self.profile = ""

    async def place(self, *sites: str) -> str:
        """Order the bakery to be listed at some sites; return the job's name."""
        names = [f"directories/sandbox-{site}" for site in sites]
        job = await order.create_job(self.connection.intake, self.customer, self.profile, names)
        return job.name

    async def finished(self, job: str) -> dict[str, job_pb2.Submission]:
        """Wait for the end of a job and return its submissions by site."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for _ in order.watch(self.connection, job):
                pass
        found = await self.connection.submissions(job)
        return {each.directory.removeprefix("directories/sandbox-"): each for each in found}

    async def state_reached(self, job: str, state: job_pb2.SubmissionState.ValueType) -> job_pb2.Submission:
        """Wait until a submission of a job is in a state, and return it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for news in order.watch(self.connection, job):
                if news.submission.state == state:
                    return news.submission
        raise AssertionError(f"{job} ended before a submission was in state {state}")

    async def accepted(self, site: str) -> int:
        """Return how often a site has accepted the bakery."""
        return await self.sandbox.count(site, **BUSINESS)

    async def types(self, submission: job_pb2.Submission) -> Sequence[str]:
        """Return the event types of a submission, in order."""
        stream_id = UUID(submission.name.rpartition("/")[2])
        return [each.event_type for each in await self.store.read_stream(stream_id)]

    async def event(self, event_type: str, count: int = 1) -> None:
        """Wait until the log holds events of a type, so many."""
        position, seen = Position(LEDGER_LANE, 0), 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while seen < count:
                page = await self.store.read_all(position)
                seen += sum(each.event_type == event_type for each in page.events)
                if page.scanned == position:
                    await self.store.wait_for_news(position, 0.2)
                position = page.scanned


@asynccontextmanager
async def orders_for(mesh: Mesh) -> AsyncGenerator[Orders]:
    """Take a customer on and open everything."""
    origin, address = mesh.sandbox_origin or "", mesh.addresses["intake"]
    staff_key = mesh.secrets["staff_key"].read_text(encoding="ascii").strip()
    async with connect(address, staff_key) as staff:
        customer = await order.create_customer(staff.intake, "Test", str(uuid4()))
        await order.import_directories(staff.intake, catalogue(origin))
        key = await order.create_api_key(staff.intake, customer)
    async with (
        connect(address, key) as connection,
        SandboxClient(origin) as sandbox,
        PostgresEventStore.open(mesh.database_url) as store,
    ):
        orders = Orders(connection, sandbox, store)
        orders.customer = customer
        orders.profile = await order.upsert_profile(connection.intake, customer, bakery())
        yield orders
