"""The scheduler's RPCs: messages in, use cases, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from directorybolt.job.v1 import job_pb2
from directorybolt.scheduler.v1 import scheduler_service_pb2 as api
from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import (
    SchedulerServiceServicer,
    add_SchedulerServiceServicer_to_server,
)

from services.domain.attempts import duration, timestamp
from services.domain.errors import FieldViolation, InvalidArgument
from services.projections.dispatch_queue import QueueSize, queue_sizes
from services.runtime import arguments
from services.runtime.queue import queue_of
from services.runtime.server import Hosted
from services.scheduler import names

if TYPE_CHECKING:
    import grpc

    from services.domain.kinds import Priority
    from services.projections.dead_letters import DeadLetterRow
    from services.projections.reading import Reads
    from services.runtime.tokens import TokenSealer
    from services.scheduler.dead_letter_desk import DeadLetterDesk
    from services.scheduler.rescue import Rescue

    Context = grpc.aio.ServicerContext[Any, Any]

_PRIORITIES: tuple[Priority, ...] = (job_pb2.PRIORITY_P1, job_pb2.PRIORITY_P2, job_pb2.PRIORITY_P3)


class SchedulerServicer(SchedulerServiceServicer):
    """Answers directorybolt.scheduler.v1.SchedulerService; who may call is the interceptors' matter."""

    def __init__(self, reads: Reads, rescue: Rescue, desk: DeadLetterDesk, tokens: TokenSealer) -> None:
        self._reads = reads
        self._rescue = rescue
        self._desk = desk
        self._tokens = tokens

    async def ListQueues(self, request: api.ListQueuesRequest, context: Context) -> api.ListQueuesResponse:
        """Say how full each queue is."""
        del request, context
        async with self._reads.of_all() as connection:
            sizes = {each.priority: each for each in await queue_sizes(connection)}
        return api.ListQueuesResponse(queues=[_queue(each, sizes.get(each)) for each in _PRIORITIES])

    async def ReapLease(self, request: api.ReapLeaseRequest, context: Context) -> api.ReapLeaseResponse:
        """Take a silent worker's lease away."""
        del context
        submission_id = arguments.named(request.submission, "submissions", "submission")
        if request.claim_version < 1:
            raise InvalidArgument(FieldViolation("claim_version", "must be 1 or more"))
        change = await self._rescue.reap(submission_id, request.claim_version)
        return api.ReapLeaseResponse(reaped=change.done, state=change.after.state)

    async def ListDeadLetters(
        self, request: api.ListDeadLettersRequest, context: Context
    ) -> api.ListDeadLettersResponse:
        """List submissions that ran out of attempts, newest first."""
        del context
        cursor = self._tokens.read_page(request.page_token, query=request, customer_id="")
        rows, following = await self._desk.page(cursor, request.page_size)
        token = self._tokens.page_token(following, query=request, customer_id="") if following else ""
        return api.ListDeadLettersResponse(
            dead_letters=[_dead_letter(each) for each in rows], next_page_token=token
        )

    async def RedriveDeadLetter(
        self, request: api.RedriveDeadLetterRequest, context: Context
    ) -> api.RedriveDeadLetterResponse:
        """Send a dead letter round again, once."""
        del context
        submission_id = arguments.named(request.name, "deadLetters")
        return api.RedriveDeadLetterResponse(redriven=await self._desk.redrive(submission_id, request.reason))


def hosted(servicer: SchedulerServicer) -> Hosted:
    """Return the service as a server hosts it."""
    full_name = str(api.DESCRIPTOR.services_by_name["SchedulerService"].full_name)
    return Hosted(full_name, lambda server: add_SchedulerServiceServicer_to_server(servicer, server))


def _queue(priority: Priority, size: QueueSize | None) -> api.Queue:
    queue = api.Queue(name=names.queue(queue_of(priority)), priority=priority)
    if size is None:
        return queue
    queue.waiting, queue.delayed = size.waiting, size.delayed
    queue.dispatched, queue.claimed = size.dispatched, size.claimed
    if size.waiting:
        queue.oldest_waiting_age.CopyFrom(duration(size.oldest_waiting))
    return queue


def _dead_letter(row: DeadLetterRow) -> api.DeadLetter:
    return api.DeadLetter(
        name=names.dead_letter(row.submission_id),
        customer=names.customer(row.customer_id),
        directory=names.directory(row.directory_id),
        attempts_used=row.attempts_used,
        error_class=row.error_class,
        code=row.code,
        create_time=timestamp(row.dead_lettered_at),
    )
