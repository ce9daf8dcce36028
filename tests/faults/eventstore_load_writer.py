"""A process that appends from many callers until it is killed, and keeps a journal of what it was told.

The journal is a file: what was written to it survives our death. Each record is a byte (`t` tried, `a`
acknowledged), an event id, and the position (0 while it is not known).
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from eventstore.errors import StoreUnavailable
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, NewEvent, StreamAppend, new_event_id

if TYPE_CHECKING:
    from pathlib import Path

RECORD = struct.Struct(">c16sq")
TENANT = UUID(int=1)
PATIENCE_SECONDS = 60


async def write(store: PostgresEventStore, journal: int) -> None:
    """Append to a stream of our own for ever; its version must be the one that we left it at."""
    stream_id, version = uuid4(), NO_STREAM
    while True:
        event_id = new_event_id()
        os.write(journal, RECORD.pack(b"t", event_id.bytes, 0))
        event = NewEvent("fault.v1.Happened", event_id.bytes, event_id)
        try:
            appended = await store.append(StreamAppend(stream_id, "fault", TENANT, [event], version))
        except StoreUnavailable:
            stream_id, version = uuid4(), NO_STREAM  # whether it went in is unknown: the journal says tried
            continue
        version = appended.versions[0]
        os.write(journal, RECORD.pack(b"a", event_id.bytes, appended.position.number))


async def main(url: str, callers: int, path: str) -> None:
    """Append from several callers."""
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with PostgresEventStore.open(url, patience_seconds=PATIENCE_SECONDS) as store:
        await asyncio.gather(*(write(store, journal) for _ in range(callers)))


def read_journal(path: Path) -> tuple[set[UUID], dict[UUID, int]]:
    """Return which events were tried, and the positions of those that were acknowledged.

    A last record that its writer died in is not whole, and says nothing.
    """
    tried: set[UUID] = set()
    acknowledged: dict[UUID, int] = {}
    written = path.read_bytes()
    whole = len(written) - len(written) % RECORD.size
    for kind, event_id, position in RECORD.iter_unpack(written[:whole]):
        if kind == b"t":
            tried.add(UUID(bytes=event_id))
        else:
            acknowledged[UUID(bytes=event_id)] = position
    return tried, acknowledged


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
