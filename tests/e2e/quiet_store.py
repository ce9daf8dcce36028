"""The event store of the running mesh, asked whether anything was stored."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from eventstore.postgres import PostgresEventStore
from services.domain import events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fix_mesh import RunningMesh

#: What the mesh notes about itself, whoever calls.
OWN_AFFAIRS = frozenset({events.ALERT, events.SERVICE, events.WORKER})


@asynccontextmanager
async def nothing_stored(running: RunningMesh) -> AsyncGenerator[None]:
    """Check that what runs inside the context stores nothing at all."""
    async with PostgresEventStore.open(running.database_url) as store:
        before = await store.head()
        yield
        if await store.head() == before:
            return
        page = await store.read_all(before)
    assert [each for each in page.events if each.category not in OWN_AFFAIRS] == []
