"""Works with an event store by the `eventstore` package that comes first on the path: old or new.

release_worker.py write URL COUNT    append until COUNT are acknowledged (0: for ever), a line for each
release_worker.py project URL UNTIL  project up to a position, then stop
release_worker.py read URL           print every event's position and id
release_worker.py verify URL         print how many events are sound, and what is not
release_worker.py migrate URL        bring the database up to the package's own schema
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from eventstore.errors import WrongExpectedVersion
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Filter, NewEvent, Position, StreamAppend, new_event_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

TENANT = UUID("0190a000-0000-7000-8000-000000000001")
STREAMS = [uuid5(TENANT, str(number)) for number in range(8)]
CALLERS = 8
SMALL = {"event_partition_size": "500", "pulse_partition_size": "500"}


def say(*words: object) -> None:
    """Write a line."""
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


class Counted:
    """A read model with a row per event: the primary key refuses to count one twice."""

    name = "counted"
    version = 1
    lanes = (LEDGER_LANE,)
    only = Filter()

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent], /) -> None:
        """Write a row per event."""
        await connection.execute(
            "insert into public.counted select * from unnest(%s::bigint[])",
            [[each.position.number for each in page]],
        )

    async def reset(self, connection: AsyncConnection[Any], /) -> None:
        """Forget all rows."""
        await connection.execute("truncate public.counted")


def either(now: str, before: str) -> Any:
    """Return a module by the name that it has in the package at hand."""
    try:
        return importlib.import_module(now)
    except ImportError:
        return importlib.import_module(before)


async def write(url: str, count: int) -> None:
    """Append to a few streams that others append to as well, by exact version and by any."""
    left = count or sys.maxsize

    async def call(store: PostgresEventStore, number: int) -> None:
        nonlocal left
        stream_id, version = STREAMS[number], -1
        while left > 0:
            event = NewEvent("release.v1.Happened", b"x", new_event_id())
            try:
                answer = await store.append(StreamAppend(stream_id, "release", TENANT, [event], version))
            except WrongExpectedVersion as moved:
                version = moved.found
                continue
            version = answer.versions[0] if number % 2 else -1
            left -= 1
            say("acknowledged", event.event_id, answer.position.number)
            await store.append_pulse(stream_id, "release", TENANT, NewEvent("release.v1.Beat", b""))

    async with PostgresEventStore.open(url) as store:
        try:
            await asyncio.gather(*(call(store, number) for number in range(CALLERS)))
        except Exception as error:
            say("failed", repr(error))
            raise


async def project(url: str, until: int) -> None:
    """Project up to a position."""
    module = either("eventstore.following.projector", "eventstore.projector")
    async with PostgresEventStore.open(url) as store:
        projector = module.Projector(store, url, Counted())
        async with projector.running():
            await projector.wait_until(Position(LEDGER_LANE, until), 30)


async def read(url: str) -> None:
    """Print the log."""
    async with PostgresEventStore.open(url) as store:
        after = Position(LEDGER_LANE, 0)
        while (page := await store.read_all(after)).events:
            for each in page.events:
                say(each.position.number, each.event_id, each.version, each.hash.hex())
            after = page.scanned


async def verify(url: str) -> None:
    """Print what the chain says."""
    module = either("eventstore.audit.verify", "eventstore.verify")
    async with PostgresEventStore.open(url) as store:
        found = await module.verify(store)
        say(found.events_count, found.defect)


async def main(verb: str, url: str, number: int) -> None:
    """Do as asked."""
    if verb == "write":
        await write(url, number)
    elif verb == "project":
        await project(url, number)
    elif verb == "read":
        await read(url)
    elif verb == "verify":
        await verify(url)
    else:
        await migrate(url, settings=SMALL)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
