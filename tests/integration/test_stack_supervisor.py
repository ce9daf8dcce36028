"""The supervisor with real processes: gates, order, last words, restarts, clean stops."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from stack.errors import StartFailed
from stack.parts import Gated, run_once
from stack.probes import said
from stack.process import Command, Process
from stack.supervisor import NEVER, ON_FAILURE, Change, RestartPolicy, Supervisor
from tests.fix_processes import look, needs_proc

if TYPE_CHECKING:
    from pathlib import Path

READY = "import signal; print('{\"ready\": 1}', flush=True); signal.pause()"
BRISK = RestartPolicy(restarts_max=2, pause_first_seconds=0.01)


class Record:
    """What the supervisor has reported, and a way to wait for it."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._news = asyncio.Event()

    def __call__(self, change: Change) -> None:
        """Take a report."""
        self.changes.append(change)
        self._news.set()

    async def count(self, kind: str, name: str, times: int) -> None:
        """Wait until a part has been reported `times` times."""
        async with asyncio.timeout(20):
            while sum(each.kind == kind and each.name == name for each in self.changes) < times:
                await self._news.wait()
                self._news.clear()

    def of(self, kind: str) -> list[str]:
        """Return the names reported with that kind, in order."""
        return [each.name for each in self.changes if each.kind == kind]


def command(directory: Path, name: str, program: str, *, grace_seconds: float = 5.0) -> Command:
    """Return a command that runs Python text."""
    return Command(
        name=name,
        argv=(sys.executable, "-c", program),
        log_path=directory / f"{name}.log",
        grace_seconds=grace_seconds,
    )


def part(directory: Path, name: str, program: str = READY, *, grace_seconds: float = 5.0) -> Gated:
    """Return a part that is ready when it says so."""
    return Gated(command(directory, name, program, grace_seconds=grace_seconds), said("ready"))


async def test_a_gate_that_is_shut_holds_back_what_comes_after(tmp_path: Path):
    opened = asyncio.Event()
    asked = asyncio.Event()

    async def gate(_: Process) -> bool:
        asked.set()
        return opened.is_set()

    record = Record()
    async with Supervisor(record) as supervisor:

        async def start_both() -> None:
            await supervisor.start(Gated(command(tmp_path, "first", READY), gate))
            await supervisor.start(part(tmp_path, "second"))

        starting = asyncio.create_task(start_both())
        await asked.wait()
        assert list(supervisor.parts) == ["first"]
        opened.set()
        await starting
        assert record.of("ready") == ["first", "second"]


async def test_the_stop_goes_backwards(tmp_path: Path):
    record = Record()
    async with Supervisor(record) as supervisor:
        for name in ("database", "queue", "service"):
            await supervisor.start(part(tmp_path, name))
    assert record.of("stopped") == ["service", "queue", "database"]


async def test_a_process_that_fails_at_start_gives_its_last_lines_and_its_exit_code(tmp_path: Path):
    dying = "import sys; print('reading the configuration'); sys.exit('DATABASE_URL is not set')"
    async with Supervisor() as supervisor:
        with pytest.raises(StartFailed, match="intake ended with exit code 1 before it was ready") as failed:
            await supervisor.start(part(tmp_path, "intake", dying), part(tmp_path, "monitor"))
    assert failed.value.log_tail.splitlines() == [
        "intake | DATABASE_URL is not set",
        "intake | reading the configuration",
    ]


async def test_a_step_that_fails_gives_its_last_lines(tmp_path: Path):
    with pytest.raises(StartFailed, match="migrate ended with exit code 3") as failed:
        await run_once(command(tmp_path, "migrate", "print('no such table'); raise SystemExit(3)"))
    assert failed.value.log_tail == "migrate | no such table"


async def test_a_failed_process_comes_back_and_is_ready_again(tmp_path: Path):
    record = Record()
    async with Supervisor(record) as supervisor:
        await supervisor.start(part(tmp_path, "worker"), restart=BRISK)
        first = supervisor.parts["worker"].pid
        await supervisor.kill("worker")
        await record.count("ready", "worker", 2)
        assert supervisor.parts["worker"].pid != first
        assert Change("worker", "ended", -signal.SIGKILL) in record.changes


async def test_a_process_that_ends_well_is_not_started_again(tmp_path: Path):
    record = Record()
    drained = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); " + READY
    async with Supervisor(record) as supervisor:
        await supervisor.start(part(tmp_path, "worker", drained), restart=BRISK)
        supervisor.send("worker", signal.SIGTERM)
        await record.count("ended", "worker", 1)
    assert record.of("ready") == ["worker"]


async def test_restarts_are_bounded_and_then_the_stack_fails_with_the_last_words(tmp_path: Path):
    record = Record()
    async with Supervisor(record) as supervisor:
        talking = "print('the disk is full', flush=True); " + READY
        await supervisor.start(part(tmp_path, "monitor", talking), restart=BRISK)
        for number in range(1, BRISK.restarts_max + 2):
            await record.count("ready", "monitor", number)
            await supervisor.kill("monitor")
        with pytest.raises(
            StartFailed, match=r"(?s)monitor has ended and is not started again.*disk is full"
        ):
            await asyncio.wait_for(supervisor.wait_for_failure(), 20)
    assert record.of("ready") == ["monitor"] * (1 + BRISK.restarts_max)


async def test_a_part_without_restarts_ends_the_stack_at_once(tmp_path: Path):
    async with Supervisor() as supervisor:
        await supervisor.start(part(tmp_path, "queue"), restart=NEVER)
        await supervisor.kill("queue")
        with pytest.raises(StartFailed, match="queue has ended"):
            await asyncio.wait_for(supervisor.wait_for_failure(), 20)


async def test_a_part_killed_without_restart_stays_away_until_it_is_restarted(tmp_path: Path):
    record = Record()
    async with Supervisor(record) as supervisor:
        await supervisor.start(part(tmp_path, "worker"), restart=ON_FAILURE)
        await supervisor.kill("worker", restart=False)
        assert record.of("ready") == ["worker"]
        await supervisor.restart("worker")
        assert record.of("ready") == ["worker", "worker"]


@needs_proc
async def test_a_frozen_process_can_be_thawed_and_stopped_frozen(tmp_path: Path):
    async with Supervisor() as supervisor:
        await supervisor.start(part(tmp_path, "worker"))
        pid = supervisor.parts["worker"].pid
        for number, state in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "S"), (signal.SIGSTOP, "T")):
            supervisor.send("worker", number)
            await in_state(pid, state)
    assert look(pid) is None


async def in_state(pid: int, state: str) -> None:
    """Wait until the kernel shows a process in that state."""
    async with asyncio.timeout(10):
        while True:
            seen = look(pid)
            if seen and seen.state == state:
                return
            await asyncio.sleep(0.01)


async def until_ready(process: Process) -> None:
    """Wait until a process has said that it is ready."""
    probe = said("ready")
    while True:
        if await probe(process):
            return
        await asyncio.sleep(0.01)


@needs_proc
async def test_who_ignores_the_stop_signal_is_killed_after_its_grace(tmp_path: Path):
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); " + READY
    async with Supervisor() as supervisor:
        await supervisor.start(part(tmp_path, "deaf", deaf, grace_seconds=0.2))
        pid = supervisor.parts["deaf"].pid
    assert look(pid) is None


@needs_proc
async def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path):
    asked = asyncio.Event()

    async def never(_: Process) -> bool:
        asked.set()
        return False

    silent = Gated(command(tmp_path, "silent", "import signal; signal.pause()"), never)
    async with Supervisor() as supervisor:
        starting = asyncio.create_task(supervisor.start(silent))
        await asked.wait()
        starting.cancel()
        await asyncio.wait([starting])
    assert look(silent.pid) is None


async def test_a_child_that_watches_its_lifeline_learns_of_its_end(tmp_path: Path):
    """The write end of the pipe is the supervisor's alone: closing it is its death, as seen from below."""
    watching = """
import os
print('{"ready": 1}', flush=True)
assert os.read(int(os.environ["DIRECTORYBOLT_LIFELINE_FD"]), 1) == b""
print("drained", flush=True)
"""
    process = Process(command(tmp_path, "watching", watching))
    await process.start()
    async with asyncio.timeout(20):
        await until_ready(process)
    process.cut_lifeline()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert process.output().splitlines()[-1] == "drained"
