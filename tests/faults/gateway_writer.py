"""A process that appends through a gateway until it is killed, and tells on its output what happened.

It says `ready`, then a line before each append with the event's id, and one after it: the id, the position,
and which way the append went.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID, uuid4

from eventstore.types import NewEvent, StreamAppend, new_event_id
from services.runtime.gateway_store import GatewayEventStore

TENANT = UUID(int=1)


def say(line: str) -> None:
    """Write a line that survives our death."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def write(store: GatewayEventStore) -> None:
    """Append for ever."""
    while True:
        event_id = new_event_id()
        say(f"trying {event_id}")
        appended = await store.append(
            StreamAppend(uuid4(), "fault", TENANT, [NewEvent("fault.v1.Happened", bytes(50), event_id)])
        )
        way = "directly" if store.is_direct else "gateway"
        say(f"acknowledged {event_id} {appended.position.number} {way}")


async def main(url: str, address: str, service_key: str) -> None:
    """Append one event after the other."""
    async with GatewayEventStore.open(url, address, service_key) as store:
        say("ready")
        await write(store)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
