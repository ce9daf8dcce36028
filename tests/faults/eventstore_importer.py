"""A process that imports the same events each time it is run, and says after each chunk how many there are.

The ids follow from the number of the event, so that a second run is the first one again.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from eventstore.appending.import_events import Imported, import_events
from eventstore.types import NewEvent, StreamAppend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TENANT = UUID(int=1)
STREAMS = 50
EVENTS_PER_CHUNK = 200


def say(line: str) -> None:
    """Write a line that survives our death."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def event_id(number: int) -> UUID:
    """Return the id of the event of a number."""
    return uuid5(TENANT, str(number))


async def events(count: int) -> AsyncIterator[StreamAppend]:
    """Yield so many appends of one event, to some streams by turns."""
    for number in range(count):
        event = NewEvent("fault.v1.Imported", bytes(50), event_id(number))
        yield StreamAppend(uuid5(TENANT, f"stream {number % STREAMS}"), "fault", TENANT, [event])


def show(imported: Imported) -> None:
    """Say how far it is."""
    say(f"imported {imported.appends_count}")


async def main(url: str, count: int) -> None:
    """Import."""
    imported = await import_events(url, events(count), events_per_chunk=EVENTS_PER_CHUNK, progress=show)
    say(f"done {imported.events_count} {imported.passed_over}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
