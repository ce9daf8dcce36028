"""The server process says where it is, keeps its counter, and goes when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from sandbox.sample_profile import bakery
from tests.doubles.careful_visitor import FILLED
from tests.doubles.sandbox_process import sandbox_command, started_sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.client import SandboxClient


async def _send(sandbox: SandboxClient) -> httpx.Response:
    return await sandbox.web.post("/plain/add", data=FILLED["plain"])


async def _count(sandbox: SandboxClient) -> int:
    return await sandbox.count("plain", name=bakery().business_name, phone=bakery().phone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_counter_outlives_the_process(tmp_path: Path, number: signal.Signals):
    async with started_sandbox(tmp_path) as first:
        await _send(first.client)
        await first.stop(number)
    async with started_sandbox(tmp_path) as second:
        assert await _count(second.client) == 1
        await _send(second.client)
        assert await _count(second.client) == 2


async def test_an_accepted_post_is_stored_before_its_answer(tmp_path: Path):
    async with started_sandbox(tmp_path) as first:
        await first.client.fault("plain", "hold_answer")
        asking = asyncio.create_task(_send(first.client))
        await first.client.wait("plain", "held")
        await first.stop(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await asking
    async with started_sandbox(tmp_path) as second:
        assert await _count(second.client) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_cleanly(tmp_path: Path, number: signal.Signals):
    async with started_sandbox(tmp_path) as sites:
        assert await sites.stop(number) == 0


async def test_held_requests_and_waits_do_not_keep_the_process(tmp_path: Path):
    async with started_sandbox(tmp_path) as sites:
        await sites.client.fault("plain", "hold_form")
        asking = asyncio.create_task(sites.client.web.get("/plain/add"))
        waiting = asyncio.create_task(sites.client.web.get("/_sandbox/wait?site=plain&event=accepted"))
        await sites.client.wait("plain", "held")

        assert await sites.stop() == 0

        with pytest.raises(httpx.TransportError):
            await asking
        assert (await waiting).json()["reached"] is False


async def test_the_process_ends_with_its_standard_input(tmp_path: Path):
    async with started_sandbox(tmp_path, "--stop-with-stdin") as sites:
        assert sites.process.stdin is not None
        sites.process.stdin.close()

        async with asyncio.timeout(20):
            assert await sites.process.wait() == 0


async def test_the_ready_line_goes_to_the_descriptor_that_was_named(tmp_path: Path):
    reading, writing = os.pipe()
    command = sandbox_command(tmp_path, "--ready-fd", str(writing))
    process = await asyncio.create_subprocess_exec(
        *command, pass_fds=[writing], stdout=asyncio.subprocess.PIPE
    )
    os.close(writing)
    with os.fdopen(reading) as ready:
        line = await asyncio.to_thread(ready.read)
    process.terminate()
    output, _ = await process.communicate()

    assert json.loads(line)["origin"].startswith("http://127.0.0.1:")
    assert output == b""
    assert process.returncode == 0


async def test_the_catalogue_is_printed_as_json():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "catalogue", "--origin", "http://127.0.0.1:8080"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    printed = json.loads(output)

    assert process.returncode == 0
    assert len(printed["directories"]) == 9
    assert printed["directories"][2]["submissionUrl"] == "http://127.0.0.1:8080/wizard/add"
    assert printed["expected"]["sandbox-long"] == {"state": "SUBMISSION_STATE_PENDING_REVIEW", "posts": 1}


async def test_a_start_without_a_folder_says_what_is_missing():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox"), stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()

    assert process.returncode == 2
    assert b"--data is needed" in complaint
