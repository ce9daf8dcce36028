"""The command `python -m eventstore`: `migrate` brings the database in DATABASE_URL up to date."""

from __future__ import annotations

import asyncio
import os
import sys

from eventstore.migrate import migrate

_USAGE = "usage: python -m eventstore migrate    (the database is named by DATABASE_URL)"


def main() -> int:
    """Run the command and return the exit code."""
    if sys.argv[1:] != ["migrate"] or not os.environ.get("DATABASE_URL"):
        sys.stderr.write(_USAGE + "\n")
        return 2
    applied = asyncio.run(migrate(os.environ["DATABASE_URL"]))
    for each in applied:
        sys.stdout.write(f"applied {each.number:04}_{each.name}\n")
    sys.stdout.write("the database is up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
