"""Stop every stack that runs under a root and delete what they have kept: half of `./bolt clean`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stack.errors import StackError
from stack.postgres_home import sweep_substitutes
from stack.state import runs

if TYPE_CHECKING:
    from stack.state import StateDirectory

STOPPED_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.1


async def stop_run(run: StateDirectory) -> None:
    """Ask the process that runs a stack to stop, and wait until it has let go.

    Errors: StackError when it does not.
    """
    owner = run.owner()
    if owner is not None:
        sys.stderr.write(f"bolt: stopping the stack on {run.path} (process {owner})\n")
        os.kill(owner, signal.SIGTERM)
    for _ in range(int(STOPPED_WITHIN_SECONDS / POLL_SECONDS)):
        if not run.claimed():
            return
        await asyncio.sleep(POLL_SECONDS)
    raise StackError(f"the stack on {run.path} (process {owner}) does not stop: end it first")


async def clean(root: Path) -> None:
    """Stop the stacks under `root` and delete it. Errors: StackError when one does not stop."""
    for run in runs(root):
        await stop_run(run)
    shutil.rmtree(root, ignore_errors=True)
    sweep_substitutes()


def main() -> None:
    """Run from the command line: `python -m stack.clean ROOT`."""
    try:
        asyncio.run(clean(Path(sys.argv[1])))
    except StackError as error:
        raise SystemExit(f"bolt: {error}") from None


if __name__ == "__main__":
    main()
