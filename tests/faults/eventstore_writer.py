"""A process that appends until it is killed, and tells on its standard output what was acknowledged.

It says `ready`, then one line per acknowledged append: the event's id and its position. Every event id that
it ever tries is written to standard output first, so that the test knows what may have been written.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID, uuid4

from eventstore.postgres import PostgresEventStore
from eventstore.types import NewEvent, StreamAppend, new_event_id

TENANT = UUID(int=1)


def say(line: str) -> None:
    """Write a line that survives our death."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def write(store: PostgresEventStore) -> None:
    """Append for ever."""
    while True:
        event_id = new_event_id()
        say(f"trying {event_id}")
        appended = await store.append(
            StreamAppend(uuid4(), "fault", TENANT, [NewEvent("fault.v1.Happened", bytes(50), event_id)])
        )
        say(f"acknowledged {event_id} {appended.position.number}")


async def main(url: str, callers: int) -> None:
    """Append from several callers."""
    async with PostgresEventStore.open(url, patience_seconds=60) as store:
        say("ready")
        await asyncio.gather(*(write(store) for _ in range(callers)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
