"""A pool of connections that act in one role, and cannot be kept for ever by one statement."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.domain.errors import StoreDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

STATEMENT_SECONDS_MAX: Final = 15.0
WAIT_SECONDS_MAX: Final = 5.0
WAITING_MAX: Final = 200
_CONNECT_SECONDS: Final = 5

_SETTINGS: Final[LiteralString] = (
    "select set_config('role', %s, false), set_config('TimeZone', 'UTC', false),"
    " set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
    " set_config('idle_in_transaction_session_timeout', %s, false)"
)


@asynccontextmanager
async def open_pool(
    database_url: str,
    *,
    role: str | None,
    application_name: str,
    size_max: int = 8,
    statement_seconds_max: float = STATEMENT_SECONDS_MAX,
) -> AsyncGenerator[AsyncConnectionPool[AsyncConnection[Any]]]:
    """Lend a pool of autocommit connections acting in `role` (None: as the login itself).

    Every connection is tried before it is lent, and given its role and settings anew when it comes back:
    a restart of the database, or a caller that left a setting behind, harms nobody.
    Errors: StoreDown when the database does not answer within five seconds.
    """
    milliseconds = str(int(statement_seconds_max * 1_000))

    async def prepare(connection: AsyncConnection[Any]) -> None:
        """Give a connection its role and settings."""
        await connection.execute(_SETTINGS, [role or "none", milliseconds, milliseconds, milliseconds])

    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        database_url,
        kwargs={
            "autocommit": True,
            "application_name": application_name,
            "connect_timeout": _CONNECT_SECONDS,
        },
        min_size=1,
        max_size=size_max,
        timeout=WAIT_SECONDS_MAX,
        max_waiting=WAITING_MAX,
        configure=prepare,
        reset=prepare,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    async with pool:
        with database_errors():
            await pool.wait(WAIT_SECONDS_MAX)
        yield pool


@contextmanager
def database_errors() -> Generator[None]:
    """Raise a database that cannot be reached as StoreDown.

    Errors: StoreDown.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise StoreDown from error
