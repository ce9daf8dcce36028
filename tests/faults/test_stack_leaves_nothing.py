"""However the supervisor ends, nothing that it started outlives it: not Postgres, not a detached browser.

Run as a program, this file is the supervised stack: Postgres, the queue server, a child that ignores
SIGTERM with a grandchild in a session of its own, and a child that drives a real Chromium.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.submitter.find_browser import EXIT_NOT_FOUND
from stack.parts import Gated
from stack.postgres import EmbeddedPostgres
from stack.probes import said
from stack.process import Command
from stack.queue_server import QueueServer
from stack.supervisor import Supervisor
from tests.fix_processes import Seen, alive, all_gone, descendants, needs_proc

pytestmark = needs_proc

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]
detached = subprocess.Popen(sleeper, start_new_session=True)
print('{"ready": "yes"}', flush=True)
signal.pause()
"""

BROWSING = """
import asyncio
from playwright.async_api import async_playwright
async def main():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=%r, chromium_sandbox=%r)
        page = await browser.new_page()
        await page.goto("data:text/html,<form><input></form>")
        print('{"ready": "yes"}', flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def child(name: str, program: str, directory: Path, supervisor: Supervisor) -> Gated:
    """Return a part that runs Python text and is ready when it says so."""
    command = Command(
        name=name,
        argv=(sys.executable, "-c", program),
        log_path=directory / f"{name}.log",
        environment=dict(os.environ),
        grace_seconds=1.0,
    )
    return Gated(command, said("ready"), supervisor.guardian)


async def be_the_stack(directory: Path, browser: str) -> None:
    """Start everything, say so, and wait."""
    async with Supervisor() as supervisor:
        browsing = BROWSING % (browser, os.geteuid() != 0)
        await supervisor.start(
            EmbeddedPostgres.throwaway(guardian=supervisor.guardian),
            QueueServer(
                log_path=directory / "queue.log", scratch=directory / "queue", guardian=supervisor.guardian
            ),
        )
        await supervisor.start(
            child("stubborn", STUBBORN, directory, supervisor),
            child("browsing", browsing, directory, supervisor),
        )
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        sys.stdout.write(json.dumps({"ready": True}) + "\n")
        sys.stdout.flush()
        await supervisor.wait_for_failure()


@pytest.fixture(scope="module")
def browser() -> str:
    """Return the path of an installed Chromium."""
    found = subprocess.run(
        [sys.executable, "-m", "services.submitter.find_browser"], capture_output=True, text=True, check=False
    )
    kind, _, path = found.stdout.strip().partition(" ")
    if found.returncode == EXIT_NOT_FOUND or kind not in {"path", "env"}:
        pytest.skip("needs a Chromium at a path")
    return path


@pytest.fixture
async def stack(tmp_path: Path, browser: str):
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        str(tmp_path),
        browser,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert program.stdout is not None
    line = await program.stdout.readline()
    assert line, "the stack ended before it was ready"
    yield program
    if program.returncode is None:
        os.killpg(program.pid, signal.SIGKILL)
    await program.wait()


def family_of(program: asyncio.subprocess.Process) -> list[Seen]:
    """Return all that the stack consists of, and check that it is what the test is about."""
    family = descendants(program.pid)
    programs = {seen.program for seen in family}
    assert "postgres" in programs
    assert any("chrom" in each or "headless" in each for each in programs), programs
    assert any("node" in each for each in programs), programs
    sessions = {os.getsid(seen.pid) for seen in family}
    assert len(sessions) > 5, "some must have left the sessions of those who started them"
    return family


async def test_after_kill_9_of_the_supervisor_nothing_is_left(stack: asyncio.subprocess.Process):
    family = family_of(stack)
    stack.kill()
    await stack.wait()
    assert await all_gone(family) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_after_ctrl_c_or_sigterm_nothing_is_left(
    stack: asyncio.subprocess.Process, number: signal.Signals
):
    family = family_of(stack)
    stack.send_signal(number)
    await stack.wait()
    # Without grace: the supervisor has waited for all of them.
    assert [seen for seen in family if alive(seen)] == []


async def test_after_kill_9_of_one_child_its_detached_grandchildren_are_gone_and_the_others_live(
    stack: asyncio.subprocess.Process,
):
    family_of(stack)
    below = {seen.pid: descendants(seen.pid) for seen in descendants(stack.pid) if seen.parent == stack.pid}
    browsing, grandchildren = next(
        (pid, found) for pid, found in below.items() if any("node" in seen.program for seen in found)
    )
    postgres = next(seen for seen in descendants(stack.pid) if seen.program == "postgres")
    os.kill(browsing, signal.SIGKILL)
    assert await all_gone(grandchildren) == []
    assert alive(postgres)


async def test_killing_the_guardian_and_the_supervisor_together_still_leaves_no_direct_child(
    stack: asyncio.subprocess.Process,
):
    family = family_of(stack)
    guardian = next(seen for seen in family if b"last_rites" in command_line(seen))
    children = [seen for seen in family if seen.parent == stack.pid and "python" not in seen.program]
    os.kill(guardian.pid, signal.SIGKILL)
    stack.kill()
    await stack.wait()
    assert await all_gone(children) == []
    await end_stubborn(family)


def command_line(seen: Seen) -> bytes:
    """Return the words that started a process."""
    return Path(f"/proc/{seen.pid}/cmdline").read_bytes()


async def end_stubborn(family: list[Seen]) -> None:
    """End what ignores SIGTERM, since the test has taken away who would."""
    for seen in family:
        if alive(seen):
            os.kill(seen.pid, signal.SIGKILL)
    await all_gone(family)


if __name__ == "__main__":
    asyncio.run(be_the_stack(Path(sys.argv[1]), sys.argv[2]))
