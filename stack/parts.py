"""What a supervisor can hold: a process that is ready when its probe says so, and a step that runs once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from stack.errors import StartFailed
from stack.process import Command, Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stack.guardian import Guardian

POLL_SECONDS = 0.05
READY_WITHIN_SECONDS = 60.0


class Part(Protocol):
    """A thing with a life: started, ready, ended, perhaps started again."""

    @property
    def name(self) -> str:
        """Its name in logs and messages."""
        ...

    @property
    def pid(self) -> int:
        """Id of its process and process group. Errors: RuntimeError before start."""
        ...

    async def start(self) -> None:
        """Start it and return when it is ready. Errors: StartFailed."""
        ...

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        ...

    async def stop(self) -> None:
        """Stop it; one that does not run is no error."""
        ...

    def log_tail(self) -> str:
        """Return the last lines of its output."""
        ...


class Gated:
    """A process that counts as started when `probe` returns True for it."""

    def __init__(
        self, command: Command, probe: Callable[[Process], Awaitable[bool]], guardian: Guardian | None = None
    ) -> None:
        self.name = command.name
        self._command = command
        self._probe = probe
        self._guardian = guardian
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the present start. Errors: RuntimeError before start."""
        return self._present().pid

    async def start(self) -> None:
        """Start it, ask the probe until it says yes.

        Errors: StartFailed when the process ends first, or stays silent for READY_WITHIN_SECONDS.
        """
        process = self._process = Process(self._command, self._guardian)
        await process.start()
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                while process.running:
                    if await self._probe(process):
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            await process.stop()
            message = f"{self.name} was not ready within {READY_WITHIN_SECONDS:.0f} s"
            raise StartFailed(message, process.log_tail()) from None
        code = await process.wait()
        message = f"{self.name} ended with exit code {code} before it was ready"
        raise StartFailed(message, process.log_tail())

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        return await self._present().wait()

    async def stop(self) -> None:
        """Stop it; one that does not run is no error."""
        with contextlib.suppress(RuntimeError):
            await self._present().stop()

    def log_tail(self) -> str:
        """Return the last lines of its output."""
        return self._process.log_tail() if self._process else ""

    def output(self) -> str:
        """Return all that this start has written. Errors: RuntimeError before start."""
        return self._present().output()

    def _present(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process


async def run_once(command: Command, guardian: Guardian | None = None) -> None:
    """Run a step to its end. Errors: StartFailed with the log's last lines when it ends badly."""
    process = Process(command, guardian)
    await process.start()
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        await process.stop()
        raise
    if code != 0:
        raise StartFailed(f"{command.name} ended with exit code {code}", process.log_tail())
