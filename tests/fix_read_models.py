"""A store with a small read model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest_asyncio

from eventstore.postgres import PostgresEventStore
from tests.doubles.visits import TABLES, Shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """Give an empty store with the read model's tables."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(TABLES)
    async with PostgresEventStore.open(database_url) as store:
        yield Shop(database_url, store)
