"""Moves old partitions of the ledger into object storage, one small step after the other.

Verify and export; put; read back and verify again; record; detach; drop. The steps up to the record change
nothing that a reader sees; after it the events stand in both places, and are read from the database until it
lets go of them. Whoever is killed in between leaves a state from which the next run goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg.rows import tuple_row

from eventstore.archive import archived
from eventstore.archive.chain_check import lane_ranges
from eventstore.archive.export import export, read_back
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.record import record_of
from eventstore.archive.session import ReadersInTheWay, alone, connected
from eventstore.connections import READ_ROLE, backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from psycopg import AsyncConnection

    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.store import EventStore

#: How often a detach is tried against readers that hold the ledger, each time 200 milliseconds long.
DETACH_TRIES_MAX: Final = 30

_DONE: Final = frozenset({"archived", "restored", "deleted"})
_CHUNK_BYTES: Final = 8 * 1_048_576
_LOG_ID: LiteralString = "select log_id from es.log_identity"
_RECORD: LiteralString = "select es.record_archive_v1(%s::jsonb)"
_FORGET: LiteralString = "select es.forget_archive_v1(%s)"
_DETACH: LiteralString = "select es.detach_partition_v1(%s)"
_DROP: LiteralString = "select es.drop_partition_v1(%s)"


class Step(Enum):
    """How far an archiving is."""

    EXPORTING = "exporting"
    EXPORTED = "exported"
    STORED = "stored"
    READING_BACK = "reading back"
    VERIFIED = "verified"
    RECORDED = "recorded"
    DETACHED = "detached"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a partition, and of how many of its events it is through."""

    partition: PartitionInfo
    step: Step
    events_done: int = 0


def ignore(_: Progress) -> None:
    """Hear of progress, and do nothing."""


class Archiver:
    """Archives the partitions of one store."""

    def __init__(
        self,
        store: EventStore,
        conninfo: str,
        storage: ObjectStorage,
        *,
        told: Callable[[Progress], None] = ignore,
        detach_tries_max: int = DETACH_TRIES_MAX,
    ) -> None:
        """Take the store, its database, the storage, and who hears of progress."""
        self._store = store
        self._conninfo = conninfo
        self._storage = storage
        self._told = told
        self._detach_tries_max = detach_tries_max

    async def due(self, hot: timedelta) -> Sequence[PartitionInfo]:
        """Return the partitions that are to be archived now, oldest first, or were begun.

        Shape: without a gap from the oldest that is not archived; the newest populated one is never among
        them, nor one that some lane still writes to.
        Errors: StoreUnavailable.
        """
        found: list[PartitionInfo] = []
        async with connected(self._conninfo, READ_ROLE) as connection:
            ledger = [each for each in await list_partitions(connection, hot) if each.log == "event"]
        for each in ledger:
            if each.state in {"archivable", "recorded", "detached"}:
                found.append(each)
            elif each.state not in {"archived", "deleted"}:
                break
        return found

    async def archive(self, partition: PartitionInfo) -> None:
        """Archive one partition, or finish what was begun.

        Errors: ArchiveRefused naming what does not fit, ReadersInTheWay, AnotherArchives, ArchiveDamaged,
        StoreUnavailable.
        """
        async with alone(self._conninfo):
            state = await self._state_now(partition)
            if state in _DONE:
                return
            recorded = state == "recorded" and await self._is_whole(partition)
            if not recorded and state != "detached":
                await self._export_and_record(partition)
            await self._let_go(partition)

    async def _state_now(self, partition: PartitionInfo) -> str:
        """Look again, alone: another process may have gone on with it since it was listed."""
        async with connected(self._conninfo, READ_ROLE) as connection:
            ledger = [each for each in await list_partitions(connection) if each.log == partition.log]
        return next(each.state for each in ledger if each.from_position == partition.from_position)

    async def _let_go(self, partition: PartitionInfo) -> None:
        async with connected(self._conninfo) as connection:
            await self._detach(connection, partition)
            self._told(Progress(partition, Step.DETACHED))
            await connection.execute(_DROP, [partition.from_position])
            self._told(Progress(partition, Step.DROPPED))

    async def _export_and_record(self, partition: PartitionInfo) -> None:
        async with connected(self._conninfo, READ_ROLE) as connection:
            ranges = await lane_ranges(connection, partition.from_position, partition.to_position)
            log_id = (await _row(connection, _LOG_ID))[0]
        with tempfile.TemporaryDirectory(prefix="archive-") as scratch:
            exported = await export(
                self._store,
                ranges,
                Path(scratch),
                log_id=log_id,
                told=_counting(self._told, partition, Step.EXPORTING),
            )
            self._told(Progress(partition, Step.EXPORTED))
            for content, each in exported.objects.items():
                await self._storage.put_if_absent(each.name, exported.files[content].path)
            self._told(Progress(partition, Step.STORED))
        await read_back(self._storage, exported, _counting(self._told, partition, Step.READING_BACK))
        self._told(Progress(partition, Step.VERIFIED))
        async with connected(self._conninfo) as connection, connection.transaction():
            # What was recorded before of this partition was lost in storage, or altered there.
            await connection.execute(_FORGET, [partition.from_position])
            await connection.execute(_RECORD, [record_of(exported, self._storage)])
        self._told(Progress(partition, Step.RECORDED))

    async def _is_whole(self, partition: PartitionInfo) -> bool:
        """Look once more whether storage has what was recorded, before the database lets go of it."""
        async with connected(self._conninfo, READ_ROLE) as connection:
            objects = await archived.objects(connection, partition.from_position)
        for each in objects.values():
            if await self._storage.size_bytes(each.name) != each.size_bytes:
                return False
            digest = hashlib.sha256()
            for start in range(0, each.size_bytes, _CHUNK_BYTES):
                digest.update(await self._storage.read(each.name, start, _CHUNK_BYTES))
            if digest.digest() != each.sha256:
                return False
        return True

    async def _detach(self, connection: AsyncConnection, partition: PartitionInfo) -> None:
        tries = 0
        async for pause_seconds in backoff():
            try:
                await connection.execute(_DETACH, [partition.from_position])
            except psycopg.errors.LockNotAvailable as error:
                tries += 1
                if tries == self._detach_tries_max:
                    raise ReadersInTheWay from error
                await asyncio.sleep(pause_seconds)
            else:
                return


def _counting(
    told: Callable[[Progress], None], partition: PartitionInfo, step: Step
) -> Callable[[int], None]:
    done = 0

    def _count(events: int) -> None:
        nonlocal done
        done += events
        told(Progress(partition, step, done))

    return _count


async def _row(connection: AsyncConnection, query: LiteralString) -> tuple[Any, ...]:
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(query)
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError("a row is always there")
    return row
