"""What the process table says: who descends from whom, and who is still alive."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads the process table from /proc")
GONE_WITHIN_SECONDS = 20.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """One process, told apart from a later one of the same number by its start."""

    pid: int
    parent: int
    state: str
    started: str
    program: str


def look(pid: int) -> Seen | None:
    """Return the process of that number; None when there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    seen = Seen(pid, int(fields[1]), fields[0], fields[19], before.partition("(")[2])
    return None if seen.state in "ZX" else seen


def descendants(pid: int) -> list[Seen]:
    """Return the living processes below `pid`, children before grandchildren."""
    everybody = [look(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    living = [seen for seen in everybody if seen]
    found, parents = list[Seen](), {pid}
    while parents:
        children = [seen for seen in living if seen.parent in parents]
        found += children
        parents = {seen.pid for seen in children}
    return found


def alive(seen: Seen) -> bool:
    """Tell whether this very process still lives."""
    now = look(seen.pid)
    return now is not None and now.started == seen.started


async def all_gone(family: list[Seen]) -> list[Seen]:
    """Wait until none of the family lives; returns who still does when patience ends."""
    deadline = asyncio.get_running_loop().time() + GONE_WITHIN_SECONDS
    while family and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        family = [seen for seen in family if alive(seen)]
    return family
