"""Asks every part of the mesh how it is, side by side; a part that does not answer is an answer too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.scheduler.v1 import scheduler_service_pb2
from directorybolt.submitter.v1 import submitter_service_pb2
from grpc.aio import AioRpcError

from eventstore.errors import StoreUnavailable
from eventstore.following.why_behind import why_behind
from services.domain.errors import Trouble
from services.monitor import health
from services.projections.alerts import count_open
from services.projections.partitions import room_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from directorybolt.scheduler.v1.scheduler_service_pb2 import Queue
    from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
    from directorybolt.submitter.v1.submitter_service_pb2 import Worker
    from directorybolt.submitter.v1.submitter_service_pb2_grpc import SubmitterServiceStub

    from eventstore.following.standing import Standing
    from services.projections.partitions import Room
    from services.projections.reading import Reads
    from services.runtime.clock import Clock

ASK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What one part of the mesh said."""

    parts: Sequence[pb.HealthPart]
    workers: Sequence[Worker] = ()
    queues: Sequence[Queue] = ()
    alerts: Mapping[int, int] = field(default_factory=dict[int, int])


class Examination:
    """Examines the mesh."""

    def __init__(
        self,
        reads: Reads,
        scheduler: SchedulerServiceStub,
        submitter: SubmitterServiceStub,
        clock: Clock,
        *,
        retention_trouble: Callable[[], str] = lambda: "",
        sealing_trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self._reads = reads
        self._scheduler = scheduler
        self._submitter = submitter
        self._clock = clock
        self._retention_trouble = retention_trouble
        self._sealing_trouble = sealing_trouble

    async def run(self) -> pb.GetHealthResponse:
        """Return how the mesh is."""
        found = await asyncio.gather(self._database(), self._workers(), self._queues())
        parts = [part for each in found for part in each.parts]
        workers = [worker for each in found for worker in each.workers]
        alerts = found[0].alerts
        return pb.GetHealthResponse(
            state=health.worst(parts),
            score=health.score(parts, alerts),
            parts=parts,
            workers_alive=len(workers),
            slots_free=sum(map(health.slots_free, workers)),
            waiting=sum(queue.waiting for each in found for queue in each.queues),
            alerts_open=sum(alerts.values()),
        )

    async def _database(self) -> Findings:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                behind, alerts, rooms = await self._read()
        except (TimeoutError, StoreUnavailable, Trouble):
            return Findings([health.database_part(answers=False, milliseconds=0)])
        milliseconds = (self._clock.monotonic() - began) * 1_000
        parts = [
            health.database_part(answers=True, milliseconds=milliseconds),
            health.alert_part(alerts),
            health.log_part(rooms),
            health.retention_part(self._retention_trouble()),
            health.log_seal_part(self._sealing_trouble()),
        ]
        return Findings([*parts, *map(health.projection_part, behind)], alerts=alerts)

    async def _read(self) -> tuple[Sequence[Standing], Mapping[int, int], Sequence[Room]]:
        async with self._reads.of_all() as connection:
            return await why_behind(connection), await count_open(connection), await room_ahead(connection)

    async def _workers(self) -> Findings:
        request = submitter_service_pb2.ListWorkersRequest()
        try:
            answer = await self._submitter.ListWorkers(request, timeout=ASK_SECONDS)
        except AioRpcError as error:
            return Findings([health.unreachable_part("submitter", error.code().name)])
        return Findings([health.worker_part(answer.workers)], workers=answer.workers)

    async def _queues(self) -> Findings:
        request = scheduler_service_pb2.ListQueuesRequest()
        try:
            answer = await self._scheduler.ListQueues(request, timeout=ASK_SECONDS)
        except AioRpcError as error:
            return Findings([health.unreachable_part("scheduler", error.code().name)])
        return Findings([health.queue_part(queue) for queue in answer.queues], queues=answer.queues)
