"""A caller's connection to one address of the mesh: the stubs, and the paged answers put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from directorybolt.intake.v1 import intake_service_pb2_grpc, jobs_pb2
from directorybolt.monitor.v1 import monitor_service_pb2, monitor_service_pb2_grpc

from services.runtime.client import open_channel
from services.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import grpc
    from directorybolt.event.v1.event_pb2 import Event
    from directorybolt.job.v1.job_pb2 import Submission

    Intake = intake_service_pb2_grpc.IntakeServiceStub

DEADLINE_SECONDS = 30.0


class Connection:
    """The services that answer at an address, as seen with one API key."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.intake = intake_service_pb2_grpc.IntakeServiceStub(channel)
        self.monitor = monitor_service_pb2_grpc.MonitorServiceStub(channel)

    async def submissions(self, job: str) -> Sequence[Submission]:
        """Return all submissions of a job."""
        found: list[Submission] = []
        request = jobs_pb2.ListSubmissionsRequest(parent=job, min_position=await self._position(job))
        while True:
            page = await self.intake.ListSubmissions(request, timeout=DEADLINE_SECONDS)
            found.extend(page.submissions)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def _position(self, job: str) -> str:
        answer = await self.intake.GetJob(jobs_pb2.GetJobRequest(name=job), timeout=DEADLINE_SECONDS)
        return answer.job.position

    async def events(self, job: str) -> Sequence[Event]:
        """Return all events of a job, oldest first."""
        found: list[Event] = []
        request = jobs_pb2.ListJobEventsRequest(parent=job)
        while True:
            page = await self.intake.ListJobEvents(request, timeout=DEADLINE_SECONDS)
            found.extend(page.events)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def proof(self, name: str) -> bytes:
        """Return a proof picture."""
        pieces = self.intake.GetProof(jobs_pb2.GetProofRequest(name=name), timeout=DEADLINE_SECONDS)
        return b"".join([piece.chunk async for piece in pieces])

    async def health(self) -> monitor_service_pb2.GetHealthResponse:
        """Return what the monitor says of the mesh."""
        return await self.monitor.GetHealth(monitor_service_pb2.GetHealthRequest(), timeout=DEADLINE_SECONDS)


@asynccontextmanager
async def connect(address: str, api_key: str) -> AsyncGenerator[Connection]:
    """Open a connection and close it in the end."""
    async with open_channel(address, api_key=api_key, clock=SystemClock()) as channel:
        yield Connection(channel)
