"""Brings an archived partition back into the database, for heavy replays; its objects stay where they are.

The events are read from storage like any cold read, so that every byte is vouched for, and the database walks
their chain once more before it takes them. For as long as they are held there, no archiving touches them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import sql

from eventstore.archive.session import ArchiveRefused, ReadersInTheWay, alone, connected
from eventstore.connections import READ_ROLE, backoff
from eventstore.names import Names
from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from psycopg import AsyncConnection, AsyncCopy

    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

_EVENTS_PER_READ: Final = 2_000
_ATTACH_TRIES_MAX: Final = 30
_BEGIN: LiteralString = "select es.begin_restore_v1(%s)"
_ATTACH: LiteralString = "select es.attach_restored_v1(%s, %s)"
_LANES: LiteralString = "select lanes from es.setting"
_TAKES_LONG: LiteralString = "set statement_timeout = 0"
_COPY: LiteralString = (
    "copy es.{} (position, lane, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,"
    " version, category, event_type, schema_version, hash, trace_parent, actor, payload)"
    " from stdin (format binary)"
)
_TYPES: Final = (
    *("int8", "int2", "timestamptz", "uuid", "uuid", "uuid", "uuid", "uuid", "int4"),
    *("int2", "int2", "int2", "bytea", "text", "text", "bytea"),
)


class Restorer:
    """Restores partitions of one store, which was opened with its archive."""

    def __init__(self, store: EventStore, conninfo: str) -> None:
        """Take the store to read from, and its database."""
        self._store = store
        self._conninfo = conninfo

    async def restore(
        self, partition: PartitionInfo, hold: timedelta, told: Callable[[int], None] = lambda _: None
    ) -> None:
        """Bring a partition back and hold it in the database; `told` hears of the events that are copied.

        Cut off at any point, nothing has changed for readers, and the next try begins anew.
        Errors: ArchiveRefused, ReadersInTheWay, AnotherArchives, ArchiveDamaged, StoreUnavailable.
        """
        if partition.state != "archived":
            raise ArchiveRefused(
                f"partition {partition.from_position} is not archived, but {partition.state}"
            )
        names, lanes = await self._known()
        async with alone(self._conninfo), connected(self._conninfo) as connection:
            await connection.execute(_TAKES_LONG)
            await connection.execute(_BEGIN, [partition.from_position])
            target = sql.SQL(_COPY).format(sql.Identifier(f"event_from_{partition.from_position}"))
            async with connection.cursor() as cursor, cursor.copy(target) as copy:
                copy.set_types(_TYPES)
                for lane in range(lanes):
                    await self._copy_lane(copy, names, lane, partition, told)
            await self._attach(connection, partition, hold)

    async def _copy_lane(
        self,
        copy: AsyncCopy,
        names: Names,
        lane: int,
        partition: PartitionInfo,
        told: Callable[[int], None],
    ) -> None:
        after = Position(lane, partition.from_position - 1)
        while after.number < partition.to_position:
            limit = min(_EVENTS_PER_READ, partition.to_position - after.number)
            page = await self._store.read_all(after, limit=limit)
            for event in page.events:
                await copy.write_row(_row(event, names))
            told(len(page.events))
            after = page.scanned

    async def _attach(self, connection: AsyncConnection, partition: PartitionInfo, hold: timedelta) -> None:
        tries = 0
        async for pause_seconds in backoff():
            try:
                await connection.execute(_ATTACH, [partition.from_position, hold])
            except psycopg.errors.LockNotAvailable as error:
                tries += 1
                if tries == _ATTACH_TRIES_MAX:
                    raise ReadersInTheWay from error
                await asyncio.sleep(pause_seconds)
            else:
                return

    async def _known(self) -> tuple[Names, int]:
        names = Names()
        async with connected(self._conninfo, READ_ROLE) as connection:
            await names.load(connection)
            row = await (await connection.execute(_LANES)).fetchone()
        return names, row[0] if row else 1


def _row(event: StoredEvent, names: Names) -> Sequence[Any]:
    return (
        event.position.number,
        event.position.lane,
        event.recorded_at,
        event.stream_id,
        event.event_id,
        event.tenant,
        event.correlation_id,
        event.causation_id,
        event.version,
        names.category_ids[event.category],
        names.event_type_ids[event.event_type],
        event.schema_version,
        event.hash,
        event.trace_parent,
        event.actor,
        event.payload,
    )
