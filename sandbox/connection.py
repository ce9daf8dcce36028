"""The line to a visitor, and how it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Receive, Scope, Send


class TracedProtocol(H11Protocol):
    """HTTP/1.1 that lets a response reach its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Puts the connection where `Cut` finds it."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class Cut(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Resets the connection and waits until the server has noticed."""
        cast("asyncio.Transport", scope["state"]["transport"]).abort()
        while (await receive())["type"] != "http.disconnect":
            pass
