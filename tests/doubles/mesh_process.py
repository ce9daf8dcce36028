"""The mesh that the end-to-end tests share, in a process of its own: no event loop of a test carries it.

Run as `python -m tests.doubles.mesh_process STATE_DIRECTORY`; it says in one line of JSON where everything
answers, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from stack.mesh import MeshOptions
from tests.fix_mesh import QUICK, fill_catalogue, started


async def main(state_directory: Path) -> None:
    """Run the mesh until nobody wants it."""
    async with started(
        MeshOptions(state_directory=state_directory, submitters=2, environment=QUICK)
    ) as running:
        await fill_catalogue(running)
        sys.stdout.write(json.dumps(asdict(running), default=str) + "\n")
        sys.stdout.flush()
        await _end_of_input()


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(main(Path(sys.argv[1])))
