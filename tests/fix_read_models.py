"""A store with a small read model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.doubles.visits import open_shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.doubles.visits import Shop


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """Give an empty store with the read model's tables."""
    async with open_shop(database_url) as opened:
        yield opened
