"""The server process: binds, says where, serves, and stops cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

from sandbox.app import Sandbox
from sandbox.connection import TracedProtocol

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

_BACKLOG = 128
_DRAIN_SECONDS = 5


class SandboxServer(uvicorn.Server):
    """A server that announces its origin, and ends held requests when it is told to stop."""

    def __init__(self, sandbox: Sandbox, listener: socket.socket, ready_fd: int | None) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app,
                http=TracedProtocol,
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._sandbox = sandbox
        self._listener = listener
        self._ready_fd = ready_fd
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, then prints one line of JSON with the origin."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        line = json.dumps({"origin": f"http://{shown}:{port}"}) + "\n"
        if self._ready_fd is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            with os.fdopen(self._ready_fd, "w") as ready:
                ready.write(line)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT and SIGTERM mean the same: stop, and exit with 0."""
        del sig, frame
        self.stop()

    def stop(self) -> None:
        """Stops serving; callable from a signal handler and from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._sandbox.let_go)


def stop_with_stdin(server: SandboxServer) -> None:
    """Stops the server when standard input ends, as it does when the starting process is gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        server.stop()

    # A daemon, because nothing but the end of the input ends the read.
    threading.Thread(target=watch, daemon=True).start()


def serve(
    *, host: str, port: int, folder: Path, ready_fd: int | None, ends_with_stdin: bool, slow_seconds: float
) -> None:
    """Serves until told to stop."""
    listener = socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    sandbox = Sandbox(folder, slow_seconds=slow_seconds)
    server = SandboxServer(sandbox, listener, ready_fd)
    if ends_with_stdin:
        stop_with_stdin(server)
    try:
        asyncio.run(server.serve([listener]))
    finally:
        sandbox.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
