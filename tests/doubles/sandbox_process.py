"""The stand-in directories as a process of the test's own, to stop, kill and start again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sandbox.client import SandboxClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

SLOW_SECONDS = 0.05
STOP_SECONDS_MAX = 20


def sandbox_command(data: Path, *options: str) -> list[str]:
    """Return the command that starts the sites, the slow one made quick."""
    fixed = ("--data", str(data), "--slow-seconds", str(SLOW_SECONDS))
    return [sys.executable, "-m", "sandbox", *fixed, *options]


class SandboxProcess:
    """Sites of one's own, to stop, kill and start again."""

    def __init__(self, process: asyncio.subprocess.Process, client: SandboxClient) -> None:
        self.process = process
        self.client = client

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; returns the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS_MAX):
            return await self.process.wait()


@asynccontextmanager
async def started_sandbox(data: Path, *options: str) -> AsyncGenerator[SandboxProcess]:
    """A process of sites on a folder of the caller's; killed at the end if it still runs."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*sandbox_command(data, *options), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        origin = json.loads(await process.stdout.readline())["origin"]
        async with SandboxClient(origin) as client:
            yield SandboxProcess(process, client)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
