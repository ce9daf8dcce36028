"""grpc.health.v1, our own: the library's forgets its other watchers when one of them leaves.

Each watcher has a queue of its own. "" is the whole process, "live" says only that the process answers,
"accepting" that it does not drain (our clients watch that), and each hosted service has its own name.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from google.protobuf.message import Message

    Status = health_pb2.HealthCheckResponse.ServingStatus
    Context = grpc.aio.ServicerContext[Any, Any]

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

# The stubs are older than the library and do not know List.
_NEWER: Final[Any] = health_pb2

WHOLE: Final = ""
LIVE: Final = "live"
ACCEPTING: Final = "accepting"


class Health(health_pb2_grpc.HealthServicer):
    """Knows how each service is, and tells those who ask or watch."""

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses: dict[str, Status] = {WHOLE: NOT_SERVING, LIVE: SERVING, ACCEPTING: SERVING}
        self._statuses.update(dict.fromkeys(services, NOT_SERVING))
        self._watchers: dict[asyncio.Queue[Status | None], str] = {}

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001  # the whole point of the call
        """Say of the process, and of each of its services, whether they serve."""
        for service in self._statuses.keys() - {LIVE, ACCEPTING}:
            self._set(service, SERVING if serving else NOT_SERVING)

    def stop_accepting(self) -> None:
        """Say that the process drains: clients that watch go elsewhere."""
        self.set_serving(False)
        self._set(ACCEPTING, NOT_SERVING)

    def is_serving(self) -> bool:
        """Tell whether the whole process serves."""
        return self._statuses[WHOLE] == SERVING

    def end_watches(self) -> None:
        """End every watch, after what it has still to hear."""
        for watcher in self._watchers:
            watcher.put_nowait(None)

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Say how a service is now; NOT_FOUND for one that is not ours."""
        status = self._statuses.get(request.service)
        if status is None:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details(f"no such service: {request.service[:100]}")
            return health_pb2.HealthCheckResponse()
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: object, context: Context) -> Message:
        """Say how every service is now."""
        del request, context
        statuses = {
            name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()
        }
        return _NEWER.HealthListResponse(statuses=statuses)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse]:
        """Say how a service is, and again whenever that changes."""
        del context
        news: asyncio.Queue[Status | None] = asyncio.Queue()
        news.put_nowait(self._statuses.get(request.service, SERVICE_UNKNOWN))
        self._watchers[news] = request.service
        try:
            while (status := await news.get()) is not None:
                yield health_pb2.HealthCheckResponse(status=status)
        finally:
            del self._watchers[news]

    def _set(self, service: str, status: Status) -> None:
        if self._statuses[service] == status:
            return
        self._statuses[service] = status
        for watcher, watched in self._watchers.items():
            if watched == service:
                watcher.put_nowait(status)
