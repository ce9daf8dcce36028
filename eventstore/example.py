"""Parcels, kept in the event store: `DATABASE_URL=postgresql://... python -m eventstore.example`."""
# ruff: noqa: T201 - it speaks to people.

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from eventstore.audit.verify import verify
from eventstore.errors import WrongExpectedVersion
from eventstore.following.projector import Projector
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, NO_STREAM, Filter, NewEvent, StoredEvent, StreamAppend

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOP = UUID(int=1)
TABLE = "create table if not exists whereabouts (parcel uuid primary key, place text)"
ROWS = """insert into whereabouts select * from unnest(%s::uuid[], %s::text[])
          on conflict (parcel) do update set place = excluded.place"""


def moved(parcel: UUID, kind: str, place: str, version: int) -> StreamAppend:
    """Return the append of one fact about a parcel that should be at this version."""
    return StreamAppend(parcel, "parcel", SHOP, [NewEvent(f"parcel.v1.{kind}", place.encode())], version)


class Whereabouts:
    """A read model: where each parcel is. Its rows and its checkpoint are saved in one transaction."""

    name, version, lanes, only = "whereabouts", 1, (LEDGER_LANE,), Filter(categories=frozenset({"parcel"}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent], /) -> None:
        """Write a page of events at once."""
        places = {each.stream_id: each.payload.decode() for each in page}
        await connection.execute(ROWS, [list(places), list(places.values())])

    async def reset(self, connection: AsyncConnection[Any], /) -> None:
        """Forget all rows, before a replay."""
        await connection.execute("truncate whereabouts")


async def main(url: str) -> None:
    """Post a thousand parcels at once, move one of them twice, and look at what came of it."""
    await migrate(url)
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(TABLE)
    async with PostgresEventStore.open(url) as store:
        parcels = [uuid4() for _ in range(1_000)]
        await asyncio.gather(*(store.append(moved(each, "Posted", "Lisbon", NO_STREAM)) for each in parcels))
        last = await store.append(moved(parcels[0], "Arrived", "Porto", 1))
        try:
            await store.append(moved(parcels[0], "Arrived", "Faro", 1))
        except WrongExpectedVersion as error:
            print("refused:", error)
        projector = Projector(store, url, Whereabouts())
        async with projector.running():
            await projector.wait_until(last.position, 10)
        print([each.payload.decode() for each in await store.read_stream(parcels[0])])
        print((await verify(store)).events_count, "events, chain intact")


if __name__ == "__main__":
    asyncio.run(main(os.environ["DATABASE_URL"]))
