"""What a projection is, how one is forgotten, and how far one is, whoever runs it.

Its checkpoints are rows of `es.projection`, one per partition; partitions.py says who may move them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from eventstore.connections import READ_ROLE, backoff
from eventstore.following.partitions import by_lane
from eventstore.line import ConnectionLost, Line
from eventstore.types import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import Filter, Position, StoredEvent

_FORGET: Final[LiteralString] = """
update es.projection
set positions = '{}', epoch = epoch + 1, holder = null, expires_at = null, moved_at = clock_timestamp(),
    paused_at = null, paused_release = null, failed_lane = null, failed_position = null, attempts = null,
    error = null, passed_over = 0
where name = %(name)s and version = %(version)s
"""
_FORGET_PARKED: Final[LiteralString] = "delete from es.parked where name = %(name)s and version = %(version)s"
_POSITIONS: Final[LiteralString] = (
    "select positions from es.projection where name = %(name)s and version = %(version)s order by partition"
)


class Projection(Protocol):
    """A read model: which events it wants, and what it writes for them.

    A new `version` is a new projection with a checkpoint of its own.
    """

    @property
    def name(self) -> str:
        """Its name, the same for ever."""
        ...

    @property
    def version(self) -> int:
        """Rises when the rows would come out differently."""
        ...

    @property
    def lanes(self) -> Sequence[int]:
        """What it follows: LEDGER_LANE, which stands for all lanes of the ledger, PULSE_LANE, or both.

        There is no order between lanes.
        """
        ...

    @property
    def only(self) -> Filter:
        """The events that it wants."""
        ...

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent], /) -> None:
        """Write the rows for some events of one lane, oldest first, within the transaction given."""
        ...

    async def reset(self, connection: AsyncConnection[Any], /) -> None:
        """Forget all rows, within the transaction given."""
        ...


async def forget(connection: AsyncConnection[Any], projection: Projection) -> None:
    """Forget a projection's rows, parked events and checkpoints in one transaction; its holder is fenced off.

    The rows go first: the holder, too, touches rows first and the checkpoint last, so the two cannot
    wait for each other.
    """
    key = {"name": projection.name, "version": projection.version}
    async with connection.transaction():
        await projection.reset(connection)
        await connection.execute(_FORGET_PARKED, key)
        await connection.execute(_FORGET, key)


class ProjectionProgress:
    """How far a projection is, read from the database: it may run in another process."""

    def __init__(self, conninfo: str, name: str, version: int) -> None:
        """Take the database and the projection; it connects when asked first."""
        self._line = Line(conninfo, READ_ROLE, f"progress {name}")
        self._key = {"name": name, "version": version}

    async def positions(self) -> Mapping[int, int]:
        """Return the checkpoint of each lane: that of the partition that is furthest behind.

        Errors: ConnectionLost.
        """
        checkpoints = await self._line.call(self._read)
        lanes = {lane for positions in checkpoints for lane in positions}
        return {lane: min(positions.get(lane, 0) for positions in checkpoints) for lane in lanes}

    async def wait_until(
        self, position: Position, timeout_seconds: float | None = None, *, stream_id: UUID | None = None
    ) -> None:
        """Return when every event up to a position is in the rows; with a stream, those of its partition.

        What is parked or skipped counts as seen.
        Errors: TimeoutError when `timeout_seconds` pass before.
        """
        async with asyncio.timeout(timeout_seconds):
            async for pause_seconds in backoff(first_seconds=0.004, seconds_max=0.1):
                if await self._covers(position, stream_id):
                    return
                await asyncio.sleep(pause_seconds)

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _covers(self, position: Position, stream_id: UUID | None) -> bool:
        try:
            checkpoints = await self._line.call(self._read)
        except ConnectionLost:
            return False
        if stream_id is not None and checkpoints:
            checkpoints = [checkpoints[partition_of(stream_id, len(checkpoints))]]
        return bool(checkpoints) and all(
            positions.get(position.lane, 0) >= position.number for positions in checkpoints
        )

    async def _read(self, connection: AsyncConnection) -> Sequence[Mapping[int, int]]:
        cursor = await connection.execute(_POSITIONS, self._key)
        return [by_lane(positions) for (positions,) in await cursor.fetchall()]
