"""The command `python -m services.projections migrate`: roles, operational tables, read models.

The database in DATABASE_URL needs the event store first: `python -m eventstore migrate`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg import AsyncConnection

from services.runtime.tables.migrate import RUNTIME_SQL, apply

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
#: In this order: tables are granted to roles, and rows are granted by the default privileges of schemas.
SETS: Final = (("roles", _HERE / "roles"), ("runtime", RUNTIME_SQL), ("projections", _HERE / "sql"))
_USAGE: Final = "usage: python -m services.projections migrate    (the database is named by DATABASE_URL)"


async def migrate(database_url: str) -> Sequence[str]:
    """Apply what the database lacks, and return the names of the files.

    Errors: MigrationChanged; psycopg.Error.
    """
    applied: list[str] = []
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        for name, folder in SETS:
            applied += [f"{name}/{each}" for each in await apply(connection, folder, name)]
    return applied


def main() -> int:
    """Run the command and return the exit code."""
    database_url = os.environ.get("DATABASE_URL")
    if sys.argv[1:] != ["migrate"] or not database_url:
        sys.stderr.write(_USAGE + "\n")
        return 2
    for each in asyncio.run(migrate(database_url)):
        sys.stdout.write(f"applied {each}\n")
    sys.stdout.write("the database is up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
