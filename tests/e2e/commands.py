"""The `directorybolt` command: how it is started, and a mesh that `up` keeps running."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from google.protobuf import json_format

from stack.state import ROOT_VARIABLE
from tests.fix_mesh import GIVEN, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

COMMAND: Final = (sys.executable, "-m", "services.cli")
_LAST_LINE: Final = "submit sandbox/profiles/bakery.json"
_UP_SECONDS_MAX: Final = 90.0


def environment(state_root: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command whose runs lie under this root."""
    kept = {name: value for name, value in os.environ.items() if name not in {*GIVEN, "NO_COLOR"}}
    return {**kept, ROOT_VARIABLE: str(state_root), "COLUMNS": "120", **more}


def written(folder: Path, business: BusinessProfile) -> Path:
    """Write a profile to a file."""
    file = folder / "profile.json"
    file.write_text(json_format.MessageToJson(business), encoding="utf-8")
    return file


@asynccontextmanager
async def up(told: dict[str, str]) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """Run `up` and give it when it is up, with what it has said; killed in the end."""
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        *COMMAND, "up", cwd=ROOT, env=told, stdout=pipe, stderr=pipe, start_new_session=True
    )
    assert program.stdout is not None
    assert program.stderr is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(_UP_SECONDS_MAX):
            while _LAST_LINE not in (said[-1] if said else ""):
                said.append((await program.stdout.readline()).decode())
                assert said[-1], "".join(said) + (await program.stderr.read()).decode()
        yield program, "".join(said)
    finally:
        if program.returncode is None:
            program.kill()
            await program.communicate()
