"""One child process: its own session, its log file, a parent-death signal, a lifeline and a mark.

The lifeline is a pipe whose write end only this process holds: it closes when we die, however we die, on
every system; the parent-death signal does the same on Linux for programs that do not watch the pipe. The
mark is an environment variable that grandchildren inherit, so that a browser which left the group is found.
Start processes from the main thread: Linux sends the death signal when the starting *thread* ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stack.last_rites import MARK_VARIABLE, SWEEPS_MAX, end_marked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.account import Account
    from stack.guardian import Guardian

LAUNCHER = Path(__file__).with_name("launch.py")
#: Tells a child which inherited descriptor ends when its supervisor does.
LIFELINE_VARIABLE = "DIRECTORYBOLT_LIFELINE_FD"
LOG_TAIL_LINES = 30
LOG_TAIL_BYTES = 16_384
SWEEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run and how it is held."""

    name: str
    argv: tuple[str, ...]
    log_path: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The directory it runs in; "/" keeps no disk busy and imports nothing by accident.
    directory: Path = Path("/")
    #: Who it runs as; None is ourselves.
    account: Account | None = None
    #: Sent on a clean stop, and by Linux when we die.
    stop_signal: signal.Signals = signal.SIGTERM
    #: Seconds between the stop signal and SIGKILL.
    grace_seconds: float = 10.0


class Process:
    """A command that runs once."""

    def __init__(self, command: Command, guardian: Guardian | None = None) -> None:
        self.command = command
        self._guardian = guardian
        self._mark = guardian.next_mark() if guardian else secrets.token_hex(8)
        self._child: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Process id, and id of its session and group. Errors: RuntimeError before start."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """True between start and the end of the process."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it; returns at once, readiness is the caller's to ask for."""
        reading, self._lifeline = os.pipe()
        log = self._open_log()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._launcher(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **self.command.environment,
                    LIFELINE_VARIABLE: str(reading),
                    MARK_VARIABLE: self._mark,
                },
                cwd=self.command.directory,
                start_new_session=True,
                pass_fds=(reading,),
            )
        finally:
            os.close(log)
            os.close(reading)
        if self._guardian:
            self._guardian.hold(self.pid, self.command.stop_signal)

    def _launcher(self) -> tuple[str, ...]:
        account = self.command.account
        uid, gid = (account.uid, account.gid) if account else (-1, -1)
        limits = (os.getpid(), self.command.stop_signal.value, uid, gid)
        return (sys.executable, "-I", "-S", str(LAUNCHER), *map(str, limits), "--", *self.command.argv)

    def _open_log(self) -> int:
        self.command.log_path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(self.command.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log_start = os.fstat(log).st_size
        return log

    async def wait(self) -> int:
        """Return the exit code when the process and its descendants have ended.

        Shape: minus the signal's number when a signal ended it.
        """
        code = await self._started().wait()
        self.cut_lifeline()
        if self._guardian:
            self._guardian.release(self.pid)
        for _ in range(SWEEPS_MAX):
            if not end_marked(self._mark):
                break
            await asyncio.sleep(SWEEP_SECONDS)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group; that nobody is left is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def stop(self) -> int:
        """Stop it: the stop signal, the grace, then SIGKILL to its group. Returns the exit code."""
        child = self._started()
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(self.command.stop_signal)
            self.send(signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), self.command.grace_seconds)
        if self.running:
            self.send(signal.SIGKILL)
        return await self.wait()

    def cut_lifeline(self) -> None:
        """Tell the process that its supervisor is gone."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def output(self) -> str:
        """Return what this start has written to the log so far."""
        with self.command.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """Return the last lines of this start's output, each with the name before it."""
        lines = self.output()[-LOG_TAIL_BYTES:].splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(f"{self.command.name} | {line}" for line in lines)

    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise RuntimeError(f"{self.command.name} was never started")
        return self._child
