"""IntakeService: the methods about jobs, beside those about customers; each is one use case."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from directorybolt.intake.v1 import intake_service_pb2, intake_service_pb2_grpc
from directorybolt.intake.v1 import jobs_pb2 as m

from services.domain.errors import JobNotFound, ProofNotFound, SubmissionNotFound
from services.intake import access
from services.intake.names import Owned
from services.intake.servicer_customers import CustomerMethods
from services.runtime.server import Hosted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc

    from services.intake.desk import Desk

    Context = grpc.aio.ServicerContext[Any, Any]

# From the file itself: reflection tells only of files that somebody has imported, and the stubs import none.
FULL_NAME: Final = str(intake_service_pb2.DESCRIPTOR.services_by_name["IntakeService"].full_name)


class IntakeServicer(CustomerMethods):
    """Takes orders in, and shows what became of them."""

    async def CreateJob(self, request: m.CreateJobRequest, context: Context) -> m.CreateJobResponse:
        """Order a profile to be listed in directories."""
        del context
        customer_id = access.parent(request.parent)
        job_id = await self._desk.orders.accept(customer_id, request)
        return m.CreateJobResponse(job=await self._desk.show.accepted(Owned(customer_id, job_id)))

    async def GetJob(self, request: m.GetJobRequest, context: Context) -> m.GetJobResponse:
        """Show a job."""
        del context
        name = access.owned(request.name, "jobs", JobNotFound)
        return m.GetJobResponse(job=await self._desk.show.job(name))

    async def ListJobs(self, request: m.ListJobsRequest, context: Context) -> m.ListJobsResponse:
        """List a customer's jobs."""
        del context
        customer_id = access.parent(request.parent)
        await self._desk.customers.terms(customer_id)
        return await self._desk.lists.jobs(customer_id, request)

    async def CancelJob(self, request: m.CancelJobRequest, context: Context) -> m.CancelJobResponse:
        """Cancel what has not been clicked yet."""
        del context
        name = access.owned(request.name, "jobs", JobNotFound)
        await self._desk.cancel(name, request.reason)
        return m.CancelJobResponse(job=await self._desk.show.job(name))

    async def WatchJob(
        self, request: m.WatchJobRequest, context: Context
    ) -> AsyncGenerator[m.WatchJobResponse]:
        """Follow a job until it ends; go on from any position."""
        del context
        name = access.owned(request.name, "jobs", JobNotFound)
        async with aclosing(self._desk.watcher.watch(name, request.after_position)) as steps:
            async for each in steps:
                yield each

    async def ListSubmissions(
        self, request: m.ListSubmissionsRequest, context: Context
    ) -> m.ListSubmissionsResponse:
        """List the submissions of a job, or of a customer."""
        del context
        if "/jobs/" in request.parent:
            job = access.owned(request.parent, "jobs", JobNotFound, "parent")
            await self._desk.lists.require_job(job)
            return await self._desk.lists.submissions(job.customer_id, job.id, request)
        customer_id = access.parent(request.parent)
        await self._desk.customers.terms(customer_id)
        return await self._desk.lists.submissions(customer_id, None, request)

    async def GetSubmission(
        self, request: m.GetSubmissionRequest, context: Context
    ) -> m.GetSubmissionResponse:
        """Show a submission."""
        del context
        name = access.owned(request.name, "submissions", SubmissionNotFound)
        return m.GetSubmissionResponse(submission=await self._desk.show.submission(name))

    async def ListJobEvents(
        self, request: m.ListJobEventsRequest, context: Context
    ) -> m.ListJobEventsResponse:
        """List what happened to a job."""
        del context
        job = access.owned(request.parent, "jobs", JobNotFound, "parent")
        return await self._desk.lists.job_events(job, request)

    async def GetProof(
        self, request: m.GetProofRequest, context: Context
    ) -> AsyncGenerator[m.GetProofResponse]:
        """Send a proof picture in pieces."""
        del context
        name = access.owned(request.name, "proofs", ProofNotFound)
        async with aclosing(self._desk.proofs.pieces(name)) as pieces:
            async for each in pieces:
                yield each


def hosted(desk: Desk) -> Hosted:
    """Return the service, ready to be put on a server."""
    servicer = IntakeServicer(desk)
    return Hosted(
        FULL_NAME,
        lambda server: intake_service_pb2_grpc.add_IntakeServiceServicer_to_server(servicer, server),
    )
