r"""Applies numbered migrations, each once, in order, under a lock, and keeps a ledger with checksums.

A migration is `NNNN_name.sql`; a line `\ir path` in it stands for the file at that path, as in psql. What
an applied migration consists of never changes again: the checksum covers the included files, and a
difference stops the run. Changes come as new migrations and new versions of functions.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, cast

from psycopg import AsyncConnection, sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_INCLUDE = re.compile(r"^\\ir\s+(\S+)\s*$", re.MULTILINE)
_LOCK_NUMBER = 0x65736D67


class MigrationChanged(RuntimeError):
    """An applied migration differs from its file; write a new one instead of changing it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step: its text, with every included file in its place."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> bytes:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).digest()


def load(folder: Path = MIGRATIONS) -> Sequence[Migration]:
    """Read the migrations of a folder, in order.

    Errors: ValueError when a file has no number, or the numbers are not 1, 2, 3, ...
    """
    found = [_read(path) for path in sorted(folder.glob("*.sql"))]
    if [each.number for each in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations in {folder.name}/ are not numbered 1 to {len(found)}")
    return found


def _read(path: Path) -> Migration:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise ValueError(f"{path.name} is not named NNNN_name.sql")
    return Migration(int(name[1]), name[2], _expand(path))


def _expand(path: Path) -> str:
    return _INCLUDE.sub(lambda line: _expand(path.parent / line[1]), path.read_text(encoding="utf-8"))


async def migrate(
    conninfo: str,
    *,
    folder: Path = MIGRATIONS,
    schema: str = "es",
    settings: Mapping[str, str] | None = None,
) -> Sequence[Migration]:
    """Apply what the database lacks and return it; the ledger is the table `migration` in `schema`.

    `settings` are given to the migrations as `directorybolt.<name>`; the first one of the event store
    takes `lanes`, `event_partition_size` and `pulse_partition_size`.
    Errors: MigrationChanged; psycopg.Error.
    """
    migrations = await asyncio.to_thread(load, folder)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK_NUMBER])
        applied = await _applied(connection, schema)
        for each in migrations:
            if applied.get(each.number, each.checksum) != each.checksum:
                raise MigrationChanged(
                    f"migration {each.number:04}_{each.name} was changed after it was applied"
                )
        pending = [each for each in migrations if each.number not in applied]
        for each in pending:
            await _apply(connection, schema, each, settings or {})
    return pending


async def _applied(connection: AsyncConnection, schema: str) -> Mapping[int, bytes]:
    ledger = sql.Identifier(schema, "migration")
    exists = await connection.execute("select to_regclass(%s)", [ledger.as_string(connection)])
    if (await exists.fetchone()) == (None,):
        await _create_ledger(connection, schema)
    rows = await connection.execute(sql.SQL("select number, checksum from {}").format(ledger))
    return {number: bytes(checksum) for number, checksum in await rows.fetchall()}


async def _create_ledger(connection: AsyncConnection, schema: str) -> None:
    async with connection.transaction():
        await connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        await connection.execute(
            sql.SQL(
                "create table {} (number integer primary key, name text not null, checksum bytea not null,"
                " applied_at timestamptz not null default clock_timestamp())"
            ).format(sql.Identifier(schema, "migration"))
        )


async def _apply(
    connection: AsyncConnection, schema: str, migration: Migration, settings: Mapping[str, str]
) -> None:
    async with connection.transaction():
        for name, value in settings.items():
            await connection.execute("select set_config(%s, %s, true)", [f"directorybolt.{name}", value])
        # The text is our own file, several statements long: no parameters, so psycopg sends it as it is.
        await connection.execute(cast("LiteralString", migration.text))
        await connection.execute(
            sql.SQL("insert into {} (number, name, checksum) values (%s, %s, %s)").format(
                sql.Identifier(schema, "migration")
            ),
            [migration.number, migration.name, migration.checksum],
        )
