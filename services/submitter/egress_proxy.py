"""The only way out for pages: a small forward proxy that refuses private addresses on every connection.

A route handler in the browser sees the first request of a redirect chain only, and no name resolution at
all; a proxy sees every connection, resolves the name itself and connects to what it judged. So redirects,
name-server rebinding, sockets and whatever a browser invents next are held by the same line of code.

It listens on loopback in the worker's own process: a worker that is stopped lets nothing through.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from services.submitter.addresses import AddressRefused, NameUnknown

if TYPE_CHECKING:
    from services.submitter.addresses import AddressRules

#: Answers that the proxy makes itself carry this header; its value is a stable code.
VERDICT_HEADER: Final = "x-directorybolt-egress"

CONNECT_SECONDS: Final = 10.0
HEAD_BYTES_MAX: Final = 64 * 1024
_CHUNK_BYTES: Final = 64 * 1024

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def value(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


class _Refused(Exception):
    def __init__(self, status: str, code: str) -> None:
        super().__init__(code)
        self.answer = (
            f"HTTP/1.1 {status}\r\n{VERDICT_HEADER}: {code}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ).encode()


class EgressProxy:
    """A forward proxy on a free loopback port; `async with` starts and stops it."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Address to give to the browser. Errors: RuntimeError before the start."""
        if self._server is None:
            raise RuntimeError("the proxy is not running")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)

    async def close(self) -> None:
        """Stop listening and cut what still flows."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._streams):
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        # A cancelled task must end quietly here: asyncio's stream server reports it as an error otherwise.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            try:
                await self._relay(reader, writer)
            except _Refused as refused:
                writer.write(refused.answer)
                await writer.drain()
            except asyncio.CancelledError:
                pass
            finally:
                await _hang_up(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        if head.method == "CONNECT":
            host, _, port = head.target.rpartition(":")
            far_reader, far_writer = await self._connect(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _tunnel((reader, writer), (far_reader, far_writer))
            return
        parts = urlsplit(head.target)
        far_reader, far_writer = await self._connect(parts.hostname or "", parts.port or 80)
        try:
            far_writer.write(_origin_form(head))
            await _copy(reader, far_writer, int(head.value("content-length") or 0))
            await _answer(far_reader, writer)
        finally:
            await _hang_up(far_writer)

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            address = await self._rules.resolve(host, port)
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(address, port, limit=HEAD_BYTES_MAX)
        except AddressRefused as error:
            _log.warning("address_refused", host=host, port=port)
            raise _Refused("403 Forbidden", "address_refused") from error
        except NameUnknown as error:
            raise _Refused("502 Bad Gateway", "dns_failed") from error
        except TimeoutError as error:
            raise _Refused("504 Gateway Timeout", "connect_timeout") from error
        except OSError as error:
            raise _Refused("502 Bad Gateway", "connect_failed") from error


def _parse_head(raw: bytes) -> _Head:
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return _Head(method, target, tuple((name, value.strip()) for name, _, value in pairs))


def _origin_form(head: _Head) -> bytes:
    """Rewrite a proxy request for the server itself; one request per connection keeps the relay simple."""
    parts = urlsplit(head.target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    dropped = {"connection", "proxy-connection", "proxy-authorization", "keep-alive"}
    kept = "".join(f"{name}: {value}\r\n" for name, value in head.headers if name.lower() not in dropped)
    return f"{head.method} {path} HTTP/1.1\r\n{kept}connection: close\r\n\r\n".encode("latin-1")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass an answer on with `connection: close`: the browser's next request opens a new connection."""
    while True:
        raw = await reader.readuntil(b"\r\n\r\n")
        status, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        kept = [line for line in lines if line.partition(":")[0].lower() not in {"connection", "keep-alive"}]
        writer.write("\r\n".join([status, *kept, "connection: close", "", ""]).encode("latin-1"))
        if not status.split(" ")[1].startswith("1"):
            break
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_left: int) -> None:
    while bytes_left > 0:
        chunk = await reader.read(min(_CHUNK_BYTES, bytes_left))
        if not chunk:
            return
        bytes_left -= len(chunk)
        writer.write(chunk)
        await writer.drain()
    await writer.drain()


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _tunnel(near: _Stream, far: _Stream) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    try:
        await asyncio.gather(pump(near[0], far[1]), pump(far[0], near[1]))
    finally:
        await _hang_up(far[1])


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()
