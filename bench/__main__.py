"""Run every benchmark, one process each: `./bolt bench [--quick] [--json]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("eventstore.py",)


def main() -> int:
    """Run them in turn; the exit code of the first that fails, else 0."""
    for name in BENCHMARKS:
        script = Path(__file__).with_name(name)
        code = subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
