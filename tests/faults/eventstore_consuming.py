"""A process that consumes until it is killed: it writes what it was handed behind what others wrote."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from eventstore.following.consumer import Consumer
from eventstore.postgres import PostgresEventStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.types import StoredEvent


class Journal:
    """Writes a line per event: its stream and version; a batch at a time."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    async def __call__(self, events: Sequence[StoredEvent]) -> None:
        """Write, and say so."""
        os.write(self._file, "".join(f"{each.stream_id} {each.version}\n" for each in events).encode())
        sys.stdout.write("handled\n")
        sys.stdout.flush()


async def main(url: str, path: str) -> None:
    """Consume in small batches."""
    async with PostgresEventStore.open(url, patience_seconds=60) as store:
        await Consumer(
            store,
            url,
            "journal",
            Journal(path),
            batch_max=3,
            lease_seconds=1.0,
            poll_seconds=0.1,
            partitions=8,
            waiting_max=20,
        ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
