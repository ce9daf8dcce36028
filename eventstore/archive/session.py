"""How the archive speaks to the database: in its role, and with failures in the store's own words."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg

from eventstore.connections import connect
from eventstore.errors import EventStoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from psycopg import AsyncConnection

ARCHIVE_ROLE: Final = "es_archive"

_ALONE: LiteralString = "select pg_try_advisory_lock(x'6573'::int, 10005)"
_DONE: LiteralString = "select pg_advisory_unlock(x'6573'::int, 10005)"


class ArchiveRefused(EventStoreError):
    """The partition cannot be archived, restored or deleted as it is; nothing was changed."""


class AnotherArchives(ArchiveRefused):
    """Another process archives or restores partitions of this log just now."""


class ReadersInTheWay(ArchiveRefused):
    """Somebody reads the ledger for so long that its partitions could not be changed; the next run tries."""


@asynccontextmanager
async def connected(conninfo: str, role: str = ARCHIVE_ROLE) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection of its own.

    Errors: StoreUnavailable when the database is away, ArchiveRefused when it refuses.
    """
    try:
        async with await connect(conninfo, role, "archive") as connection:
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StoreUnavailable(f"the database does not answer: {error}") from error
    except psycopg.Error as error:
        raise ArchiveRefused(f"the database refused: {error}") from error


@asynccontextmanager
async def alone(conninfo: str) -> AsyncGenerator[None]:
    """Keep every other process from archiving and restoring meanwhile; whoever dies lets go.

    Errors: AnotherArchives, StoreUnavailable.
    """
    async with connected(conninfo) as connection:
        row = await (await connection.execute(_ALONE)).fetchone()
        if row != (True,):
            raise AnotherArchives
        try:
            yield
        finally:
            # Closing alone would let go a moment later, when the server has noticed.
            await connection.execute(_DONE)
