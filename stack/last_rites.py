"""End what a dead supervisor has left: process groups first, then whatever carries the stack's mark.

Run as a program of its own (`python -S -E last_rites.py MARK`), it reads from its input which groups live
(`hold GROUP SIGNAL`), which have ended (`release GROUP`) and which directories die with them
(`remove PATH`). The end of its input is the end of the supervisor, however it came, on every system:
then groups get their signal, a grace, SIGKILL; and every process whose environment carries the mark gets
SIGKILL, since a browser leaves the group of who started it.

It imports nothing of ours, so that it starts in some 30 ms and outlives a broken checkout.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

MARK_VARIABLE = "DIRECTORYBOLT_PROCESS_ID"
GRACE_SECONDS = 6.0
POLL_SECONDS = 0.05
SWEEPS_MAX = 100


def marked(mark: str) -> list[int]:
    """Return the living processes, but not this one, whose mark begins with `mark`."""
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    listed = _environments_linux() if sys.platform == "linux" else _environments_ps()
    return [pid for pid, words in listed if wanted in words and pid != os.getpid()]


def end_marked(mark: str) -> bool:
    """Send SIGKILL once to every marked process and its group; False when there was none."""
    found = marked(mark)
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def command_line(pid: int) -> str:
    """Return a process's command line; empty when there is no such process or it is a zombie."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return _ps("-p", str(pid), "-o", "command=")


def _environments_linux() -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  # a thousand Path objects less
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                found.append((int(entry), Path(f"/proc/{entry}/environ").read_bytes()))
    return found


def _environments_ps() -> list[tuple[int, bytes]]:
    lines = (line.split(None, 1) for line in _ps("-Axww", "-E", "-o", "pid=,command=").splitlines())
    return [(int(words[0]), words[1].encode()) for words in lines if len(words) > 1]


def _ps(*arguments: str) -> str:
    asked = subprocess.run(["ps", *arguments], check=False, capture_output=True, text=True)  # noqa: S603, S607
    return asked.stdout.strip()


def _listen() -> tuple[dict[int, int], list[str]]:
    """Return, when the supervisor is gone, the groups that it held and the directories to remove."""
    groups: dict[int, int] = {}
    directories: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "hold":
            group, number = rest.split()
            groups[int(group)] = int(number)
        elif word == "release":
            groups.pop(int(rest), None)
        else:
            directories.append(rest)
    return groups, directories


def _send(groups: dict[int, int]) -> dict[int, int]:
    """Send each group its signal; return the groups that still exist."""
    alive: dict[int, int] = {}
    for group, number in groups.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            os.killpg(group, signal.SIGCONT)
            alive[group] = 0
    return alive


def _pause() -> None:
    select.select([], [], [], POLL_SECONDS)


def main(mark: str) -> None:
    """Wait for the end of the supervisor, then end all that it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups, directories = _listen()
    alive, deadline = _send(groups), monotonic() + GRACE_SECONDS
    while alive and monotonic() < deadline:
        _pause()
        alive = _send(alive)
    _send(dict.fromkeys(alive, int(signal.SIGKILL)))
    for _ in range(SWEEPS_MAX):
        if not end_marked(mark):
            break
        _pause()
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
