"""Our side of last_rites.py: tell it what lives, and it ends that when we are gone.

The third line of defence, and the only one that also works on macOS for programs which do not watch a
pipe: a child normally ends by our signal, on Linux by its parent-death signal, at last by the guardian.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

PROGRAM = Path(__file__).with_name("last_rites.py")


class Guardian:
    """A process that waits for our end. `mark` begins the mark of every process of the stack."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self._marks_given = 0
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, in a session of its own, so that Ctrl-C does not reach it."""
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            "-E",
            str(PROGRAM),
            self.mark,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    def next_mark(self) -> str:
        """Return the mark of the next process."""
        self._marks_given += 1
        return f"{self.mark}.{self._marks_given}."

    def hold(self, group: int, stop_signal: signal.Signals) -> None:
        """End this process group when we are gone."""
        self._tell(f"hold {group} {stop_signal.value}")

    def release(self, group: int) -> None:
        """Forget this process group: it has ended, and its number may become somebody else's."""
        self._tell(f"release {group}")

    def remove_directory(self, path: Path) -> None:
        """Delete this directory when we are gone."""
        self._tell(f"remove {path}")

    async def dismiss(self) -> None:
        """Let it do its work, which is none when all has ended, and wait for it."""
        if self._child and self._child.stdin:
            self._child.stdin.close()
            await self._child.wait()

    def _tell(self, line: str) -> None:
        if self._child and self._child.stdin and not self._child.stdin.is_closing():
            self._child.stdin.write(f"{line}\n".encode())
