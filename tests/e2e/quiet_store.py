"""The event store of the running mesh, asked whether anything was stored."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from eventstore.postgres import PostgresEventStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fix_mesh import RunningMesh

#: Who stores what callers ask for; the others go on with what was asked before, by whichever test.
ASKED = "intake"


@asynccontextmanager
async def nothing_stored(running: RunningMesh) -> AsyncGenerator[None]:
    """Check that nothing that is asked for inside of the context is stored."""
    async with PostgresEventStore.open(running.database_url) as store:
        before = await store.head()
        yield
        if await store.head() == before:
            return
        page = await store.read_all(before)
    assert [each for each in page.events if each.actor.startswith(ASKED)] == []
