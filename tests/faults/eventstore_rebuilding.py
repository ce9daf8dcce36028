"""A process that builds a read model until it is killed; it says when it is in the middle of a page."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.as_of import read_model_as_of
from eventstore.rebuild.read_model import ReadModel
from eventstore.rebuild.rebuild import rebuild
from tests.doubles.visits import ROLE, Visits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent


@dataclass
class SlowVisits(Visits):
    """Says in the middle of each page's transaction that it is there."""

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write the rows, and say so."""
        await super().apply(connection, page)
        sys.stdout.write(f"{page[-1].position.number}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.02)


async def main(url: str, work: str) -> None:
    """Build in small pages."""
    async with PostgresEventStore.open(url, patience_seconds=60) as store:
        model = ReadModel(store, url, SlowVisits(), ROLE)
        if work == "rebuild":
            await rebuild(model, page_max=5)
        else:
            async with read_model_as_of(model, await model.heads()):
                await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
