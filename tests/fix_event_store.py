"""An empty event store of each kind, so that a promise is proven of all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest_asyncio

from eventstore.memory import MemoryEventStore
from eventstore.postgres import PostgresEventStore
from tests.fix_postgres import cloned_database, database_url, postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from eventstore.store import EventStore
    from stack.postgres import EmbeddedPostgres

__all__ = ["database_url", "postgres_cluster", "store"]


def wall_time() -> datetime:
    """Return the time of day: the store takes a clock, and any will do here."""
    return datetime.now(UTC)  # noqa: TID251 - same


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(
    request: pytest.FixtureRequest, postgres_cluster: EmbeddedPostgres
) -> AsyncIterator[EventStore]:
    """Give an empty store of each kind."""
    if request.param == "memory":
        yield MemoryEventStore(wall_time)
        return
    async with cloned_database(postgres_cluster) as url, PostgresEventStore.open(url) as opened:
        yield opened
