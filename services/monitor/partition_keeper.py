"""The loop that keeps the logs as long as they are to be kept: room ahead, archive, end.

What fails is tried again at the next round, an hour later, and shows in the health until then: archiving is
too much work to be tried every few seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from eventstore.archive.session import AnotherArchives
from eventstore.errors import EventStoreError
from services.projections.partitions import create_partitions_ahead, room_ahead

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from eventstore.archive.archiver import Archiver
    from eventstore.archive.retention import Retention
    from services.projections.reading import Reads
    from services.runtime.config import RetentionConfig

INTERVAL_SECONDS: Final = 3_600.0

_log = structlog.stdlib.get_logger(__name__)


class PartitionKeeper:
    """Keeps partitions ahead. An append makes its own when it must, but then under everybody's lock."""

    def __init__(
        self, reads: Reads, retention: Retention, archiver: Archiver | None, config: RetentionConfig
    ) -> None:
        """Take who ends what is old, and who archives; None: nothing is archived, and nothing deleted."""
        self._reads = reads
        self._retention = retention
        self._archiver = archiver
        self._config = config
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """What the last round could not do, in one line; empty when it did everything."""
        return "; ".join(f"{what}: {why}" for what, why in self._troubles.items())

    async def run_once(self) -> bool:
        """Do what is due; never True: the next look is the next hour's."""
        try:
            async with self._reads.of_all() as connection:
                await create_partitions_ahead(connection)
        finally:
            await self._look()
        await self._try("pulses", self._end_pulses())
        if self._archiver is not None:
            await self._try("archive", self._archive(self._archiver))
            await self._try("deletion", self._delete())
        return False

    async def _look(self) -> None:
        async with self._reads.of_all() as connection:
            rooms = await room_ahead(connection)
        for room in rooms:
            if not room.partitions:
                _log.critical("no_partition_ahead", log=room.log)

    async def _end_pulses(self) -> None:
        for each in await self._retention.drop_pulses(self._config.keep_pulses):
            _log.info("pulses_dropped", from_position=each)

    async def _archive(self, archiver: Archiver) -> None:
        for each in await archiver.due(self._config.hot):
            await archiver.archive(each)
            _log.info("partition_archived", from_position=each.from_position, events=each.events)

    async def _delete(self) -> None:
        for each in await self._retention.expired(self._config.keep):
            await self._retention.delete(each, self._config.keep)
            _log.info("archive_deleted", from_position=each)

    async def _try(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except AnotherArchives:
            # Another replica, or an operator: the work is being done.
            self._troubles.pop(what, None)
        except (EventStoreError, OSError) as error:
            self._troubles[what] = " ".join(str(error).split())
            _log.error("retention_failed", what=what, error=self._troubles[what])
        else:
            self._troubles.pop(what, None)
