"""The loop that keeps a partition ahead of the log, and cries out when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from services.projections.partitions import create_partitions_ahead, room_ahead

if TYPE_CHECKING:
    from services.projections.reading import Reads

INTERVAL_SECONDS: Final = 3_600.0

_log = structlog.stdlib.get_logger(__name__)


class PartitionKeeper:
    """Keeps partitions ahead. An append makes its own when it must, but then under everybody's lock."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def run_once(self) -> bool:
        """Create what lacks and look whether it is there; never True: the next look is the next hour's."""
        try:
            async with self._reads.of_all() as connection:
                await create_partitions_ahead(connection)
        finally:
            await self._look()
        return False

    async def _look(self) -> None:
        async with self._reads.of_all() as connection:
            rooms = await room_ahead(connection)
        for room in rooms:
            if not room.partitions:
                _log.critical("no_partition_ahead", log=room.log)
