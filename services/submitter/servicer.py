"""SubmitterService: shows and steers the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from directorybolt.event.v1 import system_events_pb2
from directorybolt.submitter.v1 import submitter_service_pb2 as pb
from directorybolt.submitter.v1 import submitter_service_pb2_grpc

from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.domain.attempts import timestamp
from services.domain.errors import FieldViolation, InvalidArgument, WorkerNotFound
from services.projections.workers import find_workers
from services.runtime import arguments
from services.runtime.ledger import Ledger, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from services.projections.reading import Reads
    from services.projections.workers import WorkerRow

REASON_CHARACTERS_MAX: Final = 500
_PREFIX: Final = "workers/"
_STATES: Final[Mapping[str, pb.WorkerState.ValueType]] = {
    "running": pb.WORKER_STATE_RUNNING,
    "draining": pb.WORKER_STATE_DRAINING,
    "stopped": pb.WORKER_STATE_STOPPED,
    "lost": pb.WORKER_STATE_LOST,
}


class SubmitterServicer(submitter_service_pb2_grpc.SubmitterServiceServicer):
    """Answers from the read model; steers through the worker's stream."""

    def __init__(self, reads: Reads, ledger: Ledger) -> None:
        self._reads = reads
        self._ledger = ledger

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListWorkersResponse:
        """List workers."""
        async with self._reads.of_all() as connection:
            rows = await find_workers(connection, ended=request.show_ended)
        return pb.ListWorkersResponse(workers=[_view(row) for row in rows])

    async def GetWorker(
        self, request: pb.GetWorkerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetWorkerResponse:
        """Show a worker."""
        return pb.GetWorkerResponse(worker=await self._find(request.name))

    async def DrainWorker(
        self, request: pb.DrainWorkerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.DrainWorkerResponse:
        """Ask a worker to finish and take no more."""
        reason = arguments.cleaned(request.reason, "reason", most=REASON_CHARACTERS_MAX, least=1)
        worker = await self._find(request.name)
        worker_id = request.name.removeprefix(_PREFIX)
        stream = Stream(identity.worker_stream(worker_id), events.WORKER)
        fact = system_events_pb2.WorkerDrainRequested(worker_id=worker_id, reason=reason)
        await self._ledger.append(stream, [fact], ANY_VERSION)
        return pb.DrainWorkerResponse(worker=worker)

    async def _find(self, name: str) -> pb.Worker:
        worker_id = name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""
        if not worker_id:
            raise InvalidArgument(FieldViolation("name", "write workers/{worker}"))
        async with self._reads.of_all() as connection:
            rows = await find_workers(connection, ended=True, worker_id=worker_id)
        if not rows:
            raise WorkerNotFound(worker=worker_id)
        return _view(rows[0])


def _view(row: WorkerRow) -> pb.Worker:
    return pb.Worker(
        name=_PREFIX + row.worker_id,
        state=_STATES[row.state],
        busy=row.busy,
        slots=row.slots,
        start_time=timestamp(row.started_at),
        pulse_time=timestamp(row.pulse_at),
        progress_time=timestamp(row.progress_at),
        browser=row.browser,
    )
