"""A process that runs a projector until it is killed: it counts how often each position was applied."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent


class Counts:
    """Rows of position and count; a count above one is a page that was applied twice."""

    name = "counts"
    version = 1
    lanes = (LEDGER_LANE,)
    only = Filter()

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Count, and say so in the middle of the transaction."""
        for each in page:
            await connection.execute(
                "insert into counts (position, stream_id, count) values (%s, %s, 1)"
                " on conflict (position) do update set count = counts.count + 1",
                [each.position.number, each.stream_id],
            )
        sys.stdout.write(f"applied {page[-1].position.number}\n")
        sys.stdout.flush()

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Delete the rows."""
        await connection.execute("delete from counts")


async def main(url: str, lease_seconds: float, partitions: int) -> None:
    """Project small pages."""
    async with PostgresEventStore.open(url, patience_seconds=60) as store:
        projector = Projector(
            store,
            url,
            Counts(),
            lease_seconds=lease_seconds,
            poll_seconds=0.1,
            page_max=3,
            partitions=partitions,
        )
        await projector.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
