"""The monitor's peers over real gRPC: a scheduler and a submitter that answer what a test tells them to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from directorybolt.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc
from directorybolt.submitter.v1 import submitter_service_pb2, submitter_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PATIENCE_SECONDS = 20


class SchedulerDouble(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """Knows its queues, and remembers which leases it was asked to reap."""

    def __init__(self) -> None:
        self.queues: list[scheduler_service_pb2.Queue] = []
        self.reaped: list[tuple[str, int]] = []
        self.refuses_with: grpc.StatusCode | None = None
        self._asked = asyncio.Event()

    async def ListQueues(self, request: Any, context: Any) -> scheduler_service_pb2.ListQueuesResponse:
        """Answer with the queues."""
        del request, context
        return scheduler_service_pb2.ListQueuesResponse(queues=self.queues)

    async def ReapLease(
        self, request: scheduler_service_pb2.ReapLeaseRequest, context: Any
    ) -> scheduler_service_pb2.ReapLeaseResponse:
        """Remember it."""
        self.reaped.append((request.submission, request.claim_version))
        self._asked.set()
        if self.refuses_with is not None:
            await context.abort(self.refuses_with, "as told")
        return scheduler_service_pb2.ReapLeaseResponse(reaped=True)

    async def was_asked(self) -> None:
        """Return when a lease was to be reaped."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._asked.wait()


class SubmitterDouble(submitter_service_pb2_grpc.SubmitterServiceServicer):
    """Knows its workers."""

    def __init__(self) -> None:
        self.workers: list[submitter_service_pb2.Worker] = []

    async def ListWorkers(self, request: Any, context: Any) -> submitter_service_pb2.ListWorkersResponse:
        """Answer with the workers."""
        del request, context
        return submitter_service_pb2.ListWorkersResponse(workers=self.workers)


@dataclass
class Peers:
    """Both, on one server; `stop` makes them unreachable."""

    server: grpc.aio.Server
    scheduler: SchedulerDouble = field(default_factory=SchedulerDouble)
    submitter: SubmitterDouble = field(default_factory=SubmitterDouble)
    address: str = ""

    async def stop(self) -> None:
        """Answer no more."""
        await self.server.stop(None)


@asynccontextmanager
async def peers_served() -> AsyncGenerator[Peers]:
    """Serve both on a free port."""
    peers = Peers(grpc.aio.server())
    scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server(peers.scheduler, peers.server)
    submitter_service_pb2_grpc.add_SubmitterServiceServicer_to_server(peers.submitter, peers.server)
    peers.address = f"127.0.0.1:{peers.server.add_insecure_port('127.0.0.1:0')}"
    await peers.server.start()
    try:
        yield peers
    finally:
        await peers.stop()


def worker(
    name: str,
    *,
    busy: int,
    slots: int,
    state: submitter_service_pb2.WorkerState.ValueType = submitter_service_pb2.WORKER_STATE_RUNNING,
) -> submitter_service_pb2.Worker:
    """Return a worker."""
    return submitter_service_pb2.Worker(name=f"workers/{name}", busy=busy, slots=slots, state=state)
