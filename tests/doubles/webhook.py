"""A webhook that takes messages as Slack does, and answers what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

PATIENCE_SECONDS = 20


@dataclass
class Webhook:
    """Texts that arrived, in order, refused ones too; `answers` are the next status codes, then 200."""

    url: str = ""
    texts: list[str] = field(default_factory=list[str])
    answers: deque[int] = field(default_factory=deque[int])
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def took(self, count: int) -> Sequence[str]:
        """Return the texts once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.texts) >= count)
        return list(self.texts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one message and close."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        status = self.answers.popleft() if self.answers else 200
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with self._changed:
            self.texts.append(body["text"])
            self._changed.notify_all()


@asynccontextmanager
async def webhook_served() -> AsyncGenerator[Webhook]:
    """Serve a webhook on a free port."""
    webhook = Webhook()
    server = await asyncio.start_server(webhook.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    webhook.url = f"http://127.0.0.1:{port}/services/T000/B000/hush"
    async with server:
        yield webhook
