"""The processes of this machine, as far as finding and ending a browser of ours needs them.

Playwright does not tell the id of the browser it started, and a frozen browser answers no polite request;
so browsers carry a mark on their command line and are found by it. Linux is read from /proc, every other
system through `ps`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One running process."""

    pid: int
    parent_pid: int
    command: str


def running() -> list[ProcessRow]:
    """List every process that can be read."""
    return list(_from_proc() if (_PROC / "self/stat").exists() else _from_ps())


def start_mark(pid: int) -> str:
    """Tell when a process began, as an opaque mark; empty when it is gone or the system does not say."""
    try:
        return _stat_fields(pid)[19]
    except (OSError, IndexError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def marked(mark: str, rows: Iterable[ProcessRow] | None = None) -> list[ProcessRow]:
    """List processes whose command line holds the mark."""
    return [row for row in (running() if rows is None else rows) if mark in row.command]


def kill_tree(roots: Iterable[int]) -> int:
    """End these processes and all their descendants with SIGKILL; returns how many were hit.

    A stopped process dies by SIGKILL too; children are listed before any parent dies, because they move
    to another parent then.
    """
    doomed = _with_descendants(list(roots), running())
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(doomed)


def _with_descendants(roots: list[int], rows: list[ProcessRow]) -> list[int]:
    doomed = [row.pid for row in rows if row.pid in roots]
    for pid in doomed:  # grows while it is walked: each generation brings the next
        doomed.extend(row.pid for row in rows if row.parent_pid == pid and row.pid not in doomed)
    return doomed


def _stat_fields(pid: int) -> list[str]:
    text = (_PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def _from_proc() -> Iterator[ProcessRow]:
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = _stat_fields(int(entry.name))
            if fields[0] != "Z":
                yield ProcessRow(int(entry.name), int(fields[1]), command)


def _from_ps() -> Iterator[ProcessRow]:
    listed = subprocess.run(
        ["/bin/ps", "-axww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, command = line.split(None, 2)
        yield ProcessRow(int(pid), int(parent), command)
