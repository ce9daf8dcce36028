"""The directory of one stack: data, logs, keys and a note of where it answers.

.bolt/<run>/postgres   the cluster (or a marker, see postgres_home.py)
.bolt/<run>/logs       one file per process
.bolt/<run>/keys       generated once, readable by the owner only
.bolt/<run>/evidence   proof of what sites answered
.bolt/<run>/log_seals  the log's seals, written once
.bolt/<run>/stack.json where a running stack answers
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT_VARIABLE = "DIRECTORYBOLT_STATE_ROOT"
LOCK_TRIES = 5
LOCK_RETRY_SECONDS = 0.02
RUNS_KEPT = 2


class StateDirectory:
    """One run's directory; `claim` makes it ours."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    async def claim(self) -> None:
        """Make the directory and lock it. Errors: AlreadyRunning, with the pid of who has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not await _locked(lock):
            os.close(lock)
            raise AlreadyRunning(
                f"a stack already runs on {self.path} (process {self.owner() or 'unknown'}): "
                "stop it first, or use another state directory"
            )
        self._lock = lock
        self.note({"pid": os.getpid()})

    def release(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            (self.path / "stack.json").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def directory(self, name: str) -> Path:
        """Return a directory of that name, made when there is none."""
        made = self.path / name
        made.mkdir(exist_ok=True)
        return made

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.directory("logs") / f"{name}.log"

    def key_file(self, name: str, generate: Callable[[], str]) -> Path:
        """Return the file of a key, generated at first use and readable by its owner only."""
        directory = self.directory("keys")
        directory.chmod(0o700)
        path = directory / name
        if not path.exists():
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w", encoding="ascii") as file:
                file.write(generate())
        return path

    def note(self, facts: Mapping[str, object]) -> None:
        """Write stack.json, so that other commands find this stack."""
        unfinished = self.path / "stack.json.unfinished"
        unfinished.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(self.path / "stack.json")

    def noted(self) -> dict[str, Any]:
        """Return what stack.json says; nothing when no stack runs, however the last one ended."""
        if not self.claimed():
            return {}
        try:
            return json.loads((self.path / "stack.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def owner(self) -> int | None:
        """Return the process that runs a stack here; None when nobody does."""
        return self.noted().get("pid")

    def claimed(self) -> bool:
        """Tell whether a living process, perhaps this one, holds the directory."""
        try:
            with (self.path / "lock").open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


async def _locked(lock: int) -> bool:
    """Take the lock; again a few times, since a look at whether it is taken takes it for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOCK_RETRY_SECONDS)
        else:
            return True
    return False


def state_root() -> Path:
    """Return where runs live: DIRECTORYBOLT_STATE_ROOT, which `bolt` sets, else `.bolt` right here."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path.cwd() / ".bolt").absolute()


def runs(root: Path) -> list[StateDirectory]:
    """Return all runs under a root, running or not."""
    return [StateDirectory(lock.parent) for lock in sorted(root.glob("*/lock"))]


def fresh_run(root: Path, name: str) -> Path:
    """Return a new directory `name`-N under `root`, and delete old ones but the last few and the running."""
    numbered = sorted((int(found[1]), run) for run in root.glob(f"{name}-*") if (found := _number(run)))
    for _, run in numbered[: -RUNS_KEPT or None]:
        if not StateDirectory(run).claimed():
            shutil.rmtree(run, ignore_errors=True)
    number = numbered[-1][0] if numbered else 0
    while True:
        number += 1
        made = root / f"{name}-{number}"
        try:
            made.mkdir(parents=True)
        except FileExistsError:
            continue
        return made


def _number(run: Path) -> re.Match[str] | None:
    return re.search(r"-(\d+)$", run.name)
