"""The stand-in directories as a real process."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.client import SandboxClient
from tests.doubles.sandbox_process import STOP_SECONDS_MAX, sandbox_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def sandbox_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One process of sites for the whole run; `sandbox` resets it for each test."""
    command = sandbox_command(tmp_path_factory.mktemp("sandbox"), "--stop-with-stdin")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["origin"]
        process.terminate()
        assert process.wait(STOP_SECONDS_MAX) == 0


@pytest.fixture
async def sandbox(sandbox_origin: str) -> AsyncIterator[SandboxClient]:
    """The sites, with nothing in their storage."""
    async with SandboxClient(sandbox_origin) as client:
        await client.reset()
        yield client
        await client.release()
