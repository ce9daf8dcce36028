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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, LiteralString, cast

from psycopg import AsyncConnection, errors, sql

from eventstore.connections import backoff
from eventstore.errors import EventStoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_INCLUDE = re.compile(r"^\\ir\s+(\S+)\s*$", re.MULTILINE)
_TITLE = re.compile(r"^--\s*(.+)$", re.MULTILINE)
_LOCK_NUMBER = 0x65736D67

#: While a migration waits for a table, whoever comes after it waits, too: it gives up soon, and tries again.
TABLE_WAIT: Final = "1s"
PATIENCE_SECONDS: Final = 120.0


class MigrationChanged(EventStoreError):
    """An applied migration differs from its file; write a new one instead of changing it."""


class DatabaseNewer(EventStoreError):
    """The database was migrated by a later release than this one."""


class MigrationBlocked(EventStoreError):
    """A migration could not get the tables that it changes: somebody holds them all the time."""


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

    @property
    def label(self) -> str:
        """Return number and name, as the file has them."""
        return f"{self.number:04}_{self.name}"

    @property
    def title(self) -> str:
        """Return what it is for: its first comment."""
        found = _TITLE.search(self.text)
        return found[1] if found else self.name


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


def _silent(_: str) -> None:
    """Say nothing."""


async def migrate(
    conninfo: str,
    *,
    folder: Path = MIGRATIONS,
    schema: str = "es",
    settings: Mapping[str, str] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    tell: Callable[[str], None] = _silent,
) -> Sequence[Migration]:
    """Apply what the database lacks and return it; the ledger is the table `migration` in `schema`.

    `settings` are given to the migrations as `directorybolt.<name>`; the first one of the event store
    takes `lanes`, `event_partition_size` and `pulse_partition_size`. `tell` hears what is done meanwhile.
    Units: a migration whose tables are in use is tried again for `patience_seconds`; those that use them wait
    for a second at most.
    Errors: MigrationChanged, DatabaseNewer, MigrationBlocked; psycopg.Error.
    """
    migrations = await asyncio.to_thread(load, folder)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK_NUMBER])
        if not await _has_ledger(connection, schema):
            await _create_ledger(connection, schema)
        missing = await _missing(connection, schema, migrations)
        for each in missing:
            tell(f"{each.label}: {each.title}")
            apply = partial(_apply, connection, schema, each, settings or {})
            await _patiently(apply, each.label, patience_seconds, tell)
    return missing


async def pending(conninfo: str, *, folder: Path = MIGRATIONS, schema: str = "es") -> Sequence[Migration]:
    """Return what `migrate` would apply; nothing is changed.

    Errors: MigrationChanged, DatabaseNewer; psycopg.Error.
    """
    migrations = await asyncio.to_thread(load, folder)
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        if not await _has_ledger(connection, schema):
            return migrations
        return await _missing(connection, schema, migrations)


async def _missing(
    connection: AsyncConnection, schema: str, migrations: Sequence[Migration]
) -> Sequence[Migration]:
    ledger = sql.Identifier(schema, "migration")
    cursor = await connection.execute(sql.SQL("select number, name, checksum from {}").format(ledger))
    applied = {number: (name, bytes(checksum)) for number, name, checksum in await cursor.fetchall()}
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise DatabaseNewer(
            f"the database has migration {newest:04}_{applied[newest][0]}, and this release ends at"
            f" {len(migrations):04}: use the release that migrated it, or a later one"
        )
    for each in migrations:
        if each.number in applied and applied[each.number][1] != each.checksum:
            raise MigrationChanged(f"migration {each.label} was changed after it was applied")
    return [each for each in migrations if each.number not in applied]


async def _has_ledger(connection: AsyncConnection, schema: str) -> bool:
    cursor = await connection.execute(
        "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = 'migration')",
        [schema],
    )
    return await cursor.fetchone() == (True,)


async def _create_ledger(connection: AsyncConnection, schema: str) -> None:
    async with connection.transaction():
        await connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        await connection.execute(
            sql.SQL(
                "create table {} (number integer primary key, name text not null, checksum bytea not null,"
                " applied_at timestamptz not null default clock_timestamp())"
            ).format(sql.Identifier(schema, "migration"))
        )


async def _patiently(
    apply: Callable[[], Awaitable[None]], label: str, patience_seconds: float, tell: Callable[[str], None]
) -> None:
    try:
        async with asyncio.timeout(patience_seconds):
            async for pause_seconds in backoff(first_seconds=0.1):
                try:
                    await apply()
                except (errors.LockNotAvailable, errors.DeadlockDetected):
                    tell(f"{label}: its tables are in use; trying again")
                    await asyncio.sleep(pause_seconds)
                else:
                    return
    except TimeoutError:
        raise MigrationBlocked(
            f"migration {label} did not get its tables within {patience_seconds:g} s: look for long"
            " transactions (`python -m eventstore doctor`), and run it again"
        ) from None


async def _apply(
    connection: AsyncConnection, schema: str, migration: Migration, settings: Mapping[str, str]
) -> None:
    async with connection.transaction():
        await connection.execute("select set_config('lock_timeout', %s, true)", [TABLE_WAIT])
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
