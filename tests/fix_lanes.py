"""A database whose ledger has three lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest_asyncio

from eventstore.migrate import migrate
from tests.several_lanes import LANES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stack.postgres import EmbeddedPostgres


@pytest_asyncio.fixture
async def url_with_lanes(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """Give a migrated event store's database with three lanes."""
    name = f"lanes_{uuid4().hex[:12]}"
    url = await postgres_cluster.create_database(name)
    await migrate(url, settings={"lanes": str(LANES)})
    yield url
    await postgres_cluster.drop_database(name)
