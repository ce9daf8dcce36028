"""Ends what has an end: archived events after their time, and pulses after days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.rows import tuple_row

from eventstore.archive import archived
from eventstore.archive.session import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncConnection

    from eventstore.archive.object_storage import ObjectStorage

KEEP_DAYS: Final = 365
PULSE_DAYS: Final = 7
KEEP: Final = timedelta(days=KEEP_DAYS)
PULSE_KEEP: Final = timedelta(days=PULSE_DAYS)

#: Deleted and not yet removed from storage, or to be deleted now.
_EXPIRED: LiteralString = (
    "select from_position from es.archive where erased_at is null and (deleted_at is not null"
    " or dropped_at is not null and last_recorded_at < clock_timestamp() - %(keep)s::interval)"
    " order by from_position"
)
_DELETE: LiteralString = "select es.delete_archive_v1(%s, %s)"
_ERASED: LiteralString = "select es.erase_archive_v1(%s)"
_DROP_PULSES: LiteralString = "select es.drop_pulse_partition_v1(%s)"
_CREATE_AHEAD: LiteralString = (
    "select es.create_partitions_ahead_v1('event', (select max(floor) from es.lane where lane >= 0)),"
    " es.create_partitions_ahead_v1('pulse', (select floor from es.lane where lane = -1))"
)


class Retention:
    """Keeps one store's logs as long as they are to be kept, and no longer."""

    def __init__(self, conninfo: str, storage: ObjectStorage | None) -> None:
        """Take the database and the storage; without one nothing archived is deleted."""
        self._conninfo = conninfo
        self._storage = storage

    async def expired(self, keep: timedelta = KEEP) -> Sequence[int]:
        """Return where the archives begin whose youngest event is older than `keep`, oldest first."""
        if self._storage is None:
            return []
        async with connected(self._conninfo) as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(_EXPIRED, {"keep": keep})
            return [row[0] for row in await cursor.fetchall()]

    async def delete(self, archive: int, keep: timedelta = KEEP) -> None:
        """Delete one of the expired archives: readers are told first, then the objects go.

        What was begun is finished: an archive marked as deleted may have its objects still.
        Errors: ObjectStorageUnavailable, StoreUnavailable, ArchiveRefused.
        """
        if self._storage is None:
            return
        async with connected(self._conninfo) as connection:
            await connection.execute(_DELETE, [archive, keep])
            objects = await archived.objects(connection, archive)
        for each in objects.values():
            await self._storage.delete(each.name)
        async with connected(self._conninfo) as connection:
            await connection.execute(_ERASED, [archive])

    async def drop_pulses(
        self, keep: timedelta = PULSE_KEEP, told: Callable[[int], None] = lambda _: None
    ) -> Sequence[int]:
        """Drop the partitions of pulses that are full and older than `keep`; return where they began.

        A reader that holds the pulses is not waited for: what it holds back goes at the next run.
        """
        dropped: list[int] = []
        async with connected(self._conninfo) as connection:
            while (first := await _drop_oldest_pulses(connection, keep)) is not None:
                dropped.append(first)
                told(first)
        return dropped

    async def create_ahead(self) -> None:
        """See to it that both logs have an empty partition ahead.

        Errors: StoreUnavailable when somebody holds the log; the next run tries again.
        """
        async with connected(self._conninfo) as connection:
            await connection.execute(_CREATE_AHEAD)


async def _drop_oldest_pulses(connection: AsyncConnection, keep: timedelta) -> int | None:
    try:
        cursor = await connection.execute(_DROP_PULSES, [keep])
    except psycopg.errors.LockNotAvailable:
        return None
    row = await cursor.fetchone()
    return row[0] if row else None
