"""Programs as people run them: started with arguments, read to their end."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM_SECONDS_MAX = 150.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    output: str
    errors: str

    @property
    def documents(self) -> list[Any]:
        """The JSON values of the output, one after the other."""
        found: list[Any] = []
        rest = self.output.strip()
        while rest:
            value, length = json.JSONDecoder().raw_decode(rest)
            found.append(value)
            rest = rest[length:].lstrip()
        return found


async def run(
    *words: str | Path,
    text: str = "",
    where: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program to its end; it is killed when it takes too long."""
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        *words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=where, env=environment
    )
    try:
        async with asyncio.timeout(PROGRAM_SECONDS_MAX):
            output, errors = await program.communicate(text.encode())
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    return Ended(program.returncode or 0, output.decode(), errors.decode())


async def succeeded(
    *words: str | Path,
    text: str = "",
    where: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program that must succeed."""
    ended = await run(*words, text=text, where=where, environment=environment)
    assert ended.code == 0, f"{words[0]} ended with {ended.code}: {ended.errors or ended.output}"
    return ended


def program(name: str) -> str:
    """Return the path of a program of the environment; skips where the platform has none."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} for this platform")
    return found


async def grpcurl(*words: str) -> Ended:
    """Run grpcurl in clear text."""
    return await succeeded(program("grpcurl"), "-plaintext", "-max-time", "120", *words)
