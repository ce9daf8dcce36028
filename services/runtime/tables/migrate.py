"""Applies a folder of numbered SQL files, each once, in the order of their numbers, under a lock.

Several sets share one ledger, so that read models and operational tables are migrated by the same few lines.
An applied file never changes again: its checksum is kept, and a difference stops the run.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, LiteralString, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from psycopg import AsyncConnection

RUNTIME_SQL: Final = Path(__file__).parent / "sql"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK_NUMBER: Final = 0x64626D67
_LEDGER: Final[LiteralString] = """
create schema if not exists runtime;
create table if not exists runtime.migration (
  set_name text not null,
  number integer not null,
  name text not null,
  checksum bytea not null,
  applied_at timestamptz not null default clock_timestamp(),
  primary key (set_name, number)
);
"""
_NOTE: Final[LiteralString] = (
    "insert into runtime.migration (set_name, number, name, checksum) values (%s, %s, %s, %s)"
)


class MigrationChanged(Exception):
    """An applied migration differs from its file; write a new one instead of changing it."""


@dataclass(frozen=True, slots=True)
class _Migration:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


async def apply(connection: AsyncConnection[Any], folder: Path, name: str) -> Sequence[str]:
    """Apply what the database lacks of the set `name`, and return the names of the files.

    The connection must be in autocommit mode: each file is a transaction of its own.
    Errors: ValueError when a file is not named `NNNN_words.sql`; MigrationChanged; psycopg.Error.
    """
    migrations = await asyncio.to_thread(_load, folder)
    await connection.execute("select pg_advisory_lock(%s)", [_LOCK_NUMBER])
    try:
        await connection.execute(_LEDGER)
        applied = await _applied(connection, name)
        _compare(migrations, applied)
        pending = [each for each in migrations if each.number not in applied]
        for each in pending:
            await _apply(connection, name, each)
    finally:
        await connection.execute("select pg_advisory_unlock(%s)", [_LOCK_NUMBER])
    return [f"{each.number:04}_{each.name}.sql" for each in pending]


def _load(folder: Path) -> Sequence[_Migration]:
    found = [_read(path) for path in sorted(folder.glob("*.sql"))]
    if len({each.number for each in found}) != len(found):
        raise ValueError(f"two files in {folder.name}/ have the same number")
    return found


def _read(path: Path) -> _Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named NNNN_words.sql")
    return _Migration(int(match[1]), match[2], path.read_text(encoding="utf-8"))


def _compare(migrations: Sequence[_Migration], applied: Mapping[int, bytes]) -> None:
    for each in migrations:
        if applied.get(each.number, each.checksum) != each.checksum:
            raise MigrationChanged(f"{each.number:04}_{each.name}.sql was changed after it was applied")


async def _applied(connection: AsyncConnection[Any], name: str) -> Mapping[int, bytes]:
    rows = await connection.execute(
        "select number, checksum from runtime.migration where set_name = %s", [name]
    )
    return {number: bytes(checksum) for number, checksum in await rows.fetchall()}


async def _apply(connection: AsyncConnection[Any], name: str, migration: _Migration) -> None:
    async with connection.transaction():
        # Our own file, several statements long: without parameters psycopg sends it as it is.
        await connection.execute(cast("LiteralString", migration.text))
        await connection.execute(_NOTE, [name, migration.number, migration.name, migration.checksum])
