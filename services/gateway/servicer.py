"""AppendService: a conversation for each client that opens a stream."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from directorybolt.gateway.v1 import append_service_pb2_grpc

from services.gateway.conversation import Conversation
from services.runtime.server import Hosted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import grpc
    from directorybolt.gateway.v1 import append_service_pb2 as wire

    from eventstore.store import EventStore

FULL_NAME: Final = "directorybolt.gateway.v1.AppendService"
#: Below the age at which connections are closed, so that a stream ends in order.
STREAM_AGE_SECONDS_MAX: Final = 240.0


class AppendServicer(append_service_pb2_grpc.AppendServiceServicer):
    """Answers AppendService."""

    def __init__(self, store: EventStore, age_seconds_max: float) -> None:
        self._store = store
        self._age_seconds_max = age_seconds_max

    async def Append(
        self, request_iterator: AsyncIterator[wire.AppendRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncGenerator[wire.AppendResponse]:
        """Append what the client sends, for as long as it stays."""
        conversation = Conversation(
            self._store, age_seconds_max=self._age_seconds_max, is_gone=context.cancelled
        )
        async with aclosing(conversation.answers(request_iterator)) as answers:
            async for each in answers:
                yield each


def hosted(store: EventStore, age_seconds_max: float = STREAM_AGE_SECONDS_MAX) -> Hosted:
    """Return the service, ready to be put on a server."""
    servicer = AppendServicer(store, age_seconds_max)
    return Hosted(
        FULL_NAME,
        lambda server: append_service_pb2_grpc.add_AppendServiceServicer_to_server(servicer, server),
    )
