"""Reads read models: as a tenant, so that the database itself withholds what is another's, or as the service.

What goes wrong with the database is said in the domain's words; rows are the callers' business.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg

from services.domain.errors import StoreDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

_AS_TENANT: Final[LiteralString] = (
    "select set_config('role', 'bolt_tenant', true), set_config('directorybolt.tenant', %s, true)"
)


class Reads:
    """Lends connections for reading."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def of_tenant(self, customer_id: UUID) -> AsyncGenerator[AsyncConnection[Any]]:
        """Lend a connection that sees this customer's rows only, within one transaction.

        Errors: StoreDown.
        """
        async with self.of_all() as connection:
            await connection.execute(_AS_TENANT, [str(customer_id)])
            yield connection

    @asynccontextmanager
    async def of_all(self) -> AsyncGenerator[AsyncConnection[Any]]:
        """Lend a connection with the rights of the service, within one transaction.

        Errors: StoreDown.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except psycopg.OperationalError as error:
            raise StoreDown from error
