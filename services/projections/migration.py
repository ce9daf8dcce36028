"""Brings a database up to date: roles, operational tables, read models. The event store comes first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg import AsyncConnection

from services.runtime.tables.migrate import RUNTIME_SQL, apply

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
#: In this order: tables are granted to roles, and rows are granted by the default privileges of schemas.
SETS: Final = (("roles", _HERE / "roles"), ("runtime", RUNTIME_SQL), ("projections", _HERE / "sql"))


async def migrate(database_url: str) -> Sequence[str]:
    """Apply what the database lacks, and return the names of the files.

    Errors: MigrationChanged; psycopg.Error.
    """
    applied: list[str] = []
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        for name, folder in SETS:
            applied += [f"{name}/{each}" for each in await apply(connection, folder, name)]
    return applied
