"""Run benchmarks, one process each: `./bolt bench [eventstore] [loss] [gateway] [--quick] [--json] ...`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("eventstore", "loss", "gateway")


def main() -> int:
    """Run those named, or all of them, in turn; the exit code of the first that fails, else 0.

    What follows the names goes to each of them.
    """
    arguments = sys.argv[1:]
    names: list[str] = []
    while arguments and arguments[0] in BENCHMARKS:
        names.append(arguments.pop(0))
    if arguments and not arguments[0].startswith("-"):
        sys.stderr.write(f"there is no benchmark {arguments[0]}; there are {', '.join(BENCHMARKS)}\n")
        return 2
    for name in names or BENCHMARKS:
        script = Path(__file__).with_name(f"{name}.py")
        code = subprocess.run([sys.executable, str(script), *arguments], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
