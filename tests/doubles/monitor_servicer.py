"""A small MonitorService that does as a test tells it: answers, waits, fails, streams."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from directorybolt.monitor.v1 import (
    audit_pb2,
    monitor_service_pb2,
    monitor_service_pb2_grpc,
    projections_pb2,
    state_as_of_pb2,
)

from services.runtime.loop import Signal
from services.runtime.server import Hosted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import grpc
    from google.protobuf.message import Message

    Context = grpc.aio.ServicerContext[Any, Any]

FULL_NAME = "directorybolt.monitor.v1.MonitorService"


def _answering(response: type[Message]) -> Any:
    async def answer(self: object, request: object, context: object) -> Message:
        del self, request, context
        return response()

    return answer


def _streaming(response: type[Message]) -> Any:
    async def answers(self: object, request: object, context: object) -> AsyncGenerator[Message]:
        del self, request, context
        yield response()

    return answers


class ObedientMonitor(monitor_service_pb2_grpc.MonitorServiceServicer):
    """GetHealth does `on_call`; ReadAll counts up until it is ended; the others answer at once."""

    def __init__(self) -> None:
        self.on_call: Callable[[], Awaitable[None]] | None = None
        self.in_flight = 0
        self.in_flight_most = 0
        self.started = asyncio.Event()
        self.streams_ended = Signal()
        self.context: Context | None = None

    async def GetHealth(self, request: Any, context: Context) -> Any:
        """Do what the test says."""
        del request
        self.context = context
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self.in_flight)
        self.started.set()
        try:
            if self.on_call is not None:
                await self.on_call()
        finally:
            self.in_flight -= 1
        return monitor_service_pb2.GetHealthResponse(score=100)

    async def ReadAll(
        self, request: Any, context: Context
    ) -> AsyncGenerator[monitor_service_pb2.ReadAllResponse]:
        """Send an answer, and then wait for the end if the caller wants to follow."""
        del context
        self.started.set()
        try:
            yield monitor_service_pb2.ReadAllResponse()
            if self.on_call is not None:
                await self.on_call()
            if request.follow:
                await asyncio.Event().wait()
        finally:
            await self.streams_ended.announce()

    ListAlerts = _answering(monitor_service_pb2.ListAlertsResponse)
    AcknowledgeAlert = _answering(monitor_service_pb2.AcknowledgeAlertResponse)
    ResolveAlert = _answering(monitor_service_pb2.ResolveAlertResponse)
    ListGapRules = _answering(monitor_service_pb2.ListGapRulesResponse)
    VerifyLog = _answering(monitor_service_pb2.VerifyLogResponse)
    GetStateAsOf = _answering(state_as_of_pb2.GetStateAsOfResponse)
    ListProjections = _answering(projections_pb2.ListProjectionsResponse)
    DiffProjection = _answering(projections_pb2.DiffProjectionResponse)
    RebuildProjection = _streaming(projections_pb2.RebuildProjectionResponse)
    VerifyWholeLog = _streaming(audit_pb2.VerifyWholeLogResponse)
    ExportLog = _streaming(audit_pb2.ExportLogResponse)

    async def ReadStream(self, request: Any, context: Context) -> Any:
        """Answer with the length of what was sent."""
        del context
        return monitor_service_pb2.ReadStreamResponse(stream_version=len(request.stream_id))

    def hosted(self) -> Hosted:
        """Return it as something to host."""
        return Hosted(
            FULL_NAME,
            partial(monitor_service_pb2_grpc.add_MonitorServiceServicer_to_server, self),
        )
