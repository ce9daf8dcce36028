"""A connection that may read everything, for as long as an audit takes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg

from eventstore.connections import READ_ROLE, connect
from eventstore.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from psycopg import AsyncConnection


@asynccontextmanager
async def reading(conninfo: str, purpose: str) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection.

    Errors: StoreUnavailable when the database cannot be reached, or refuses.
    """
    try:
        connection = await connect(conninfo, READ_ROLE, purpose)
        try:
            yield connection
        finally:
            await connection.close()
    except psycopg.Error as error:
        raise StoreUnavailable(f"the database refused: {error}") from error
