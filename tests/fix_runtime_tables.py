"""A database with the operational tables, and a pool on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest_asyncio

from services.runtime.tables.migrate import RUNTIME_SQL, apply
from services.runtime.tables.pool import open_pool
from tests.fix_postgres import postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from stack.postgres import EmbeddedPostgres

__all__ = ["bare_url", "pool", "postgres_cluster", "tables_url"]


@pytest_asyncio.fixture
async def bare_url(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """Give an empty database."""
    name = f"tables_{uuid4().hex[:12]}"
    yield await postgres_cluster.create_database(name)
    await postgres_cluster.drop_database(name)


@pytest_asyncio.fixture
async def tables_url(bare_url: str) -> str:
    """Give a database with the operational tables."""
    async with await psycopg.AsyncConnection.connect(bare_url, autocommit=True) as connection:
        await apply(connection, RUNTIME_SQL, "runtime")
    return bare_url


@pytest_asyncio.fixture
async def pool(tables_url: str) -> AsyncIterator[AsyncConnectionPool[AsyncConnection[Any]]]:
    """Give a pool as the services have."""
    async with open_pool(tables_url, role=None, application_name="test") as opened:
        yield opened
