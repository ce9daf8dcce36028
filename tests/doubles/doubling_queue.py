"""A proxy in front of the queue server that sends every message twice, as SQS may."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from stack.ports import choose_ports

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

_NOT_PASSED_ON = {"host", "content-length", "transfer-encoding", "connection"}
_SEND = "AmazonSQS.SendMessage"


class DoublingQueue:
    """Passes every call on, and a SendMessage once more."""

    def __init__(self, upstream: str) -> None:
        self._client = httpx.AsyncClient(base_url=upstream, timeout=60, trust_env=False)
        #: Messages that were sent twice.
        self.doubled = 0

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(self, request: Request) -> Response:
        headers = {key: value for key, value in request.headers.items() if key not in _NOT_PASSED_ON}
        body = await request.body()
        if request.headers.get("x-amz-target") == _SEND:
            await self._client.post(request.url.path, content=body, headers=headers)
            self.doubled += 1
        answer = await self._client.post(request.url.path, content=body, headers=headers)
        kept = {key: value for key, value in answer.headers.items() if key not in _NOT_PASSED_ON}
        return Response(answer.content, answer.status_code, kept)


@asynccontextmanager
async def doubling(upstream: str) -> AsyncGenerator[tuple[DoublingQueue, str]]:
    """Serve the proxy and give it with its address."""
    queue = DoublingQueue(upstream)
    (port,) = choose_ports(1)
    app = Starlette(routes=[Route("/{path:path}", queue.answer, methods=["POST"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # pyright: ignore[reportAttributeAccessIssue]  # pytest's own stay
    serving = asyncio.create_task(server.serve())
    try:
        yield queue, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving
        await queue.close()
