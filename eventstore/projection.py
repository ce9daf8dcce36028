"""What a projection is, and the row that says how far it is and who may move it.

One owner per projection: a lease row in `es.projection` with an expiry and an epoch that rises with each new
holder. Rows and checkpoint are saved in one transaction, and only under the epoch that was handed out, so a
holder that slept through its lease cannot save anything any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg.types.json import Jsonb

from eventstore.connections import READ_ROLE, backoff
from eventstore.errors import LeaseLost
from eventstore.line import ConnectionLost, Line
from eventstore.partitions import by_lane
from eventstore.types import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import Filter, Position, StoredEvent

_ENTER: Final[LiteralString] = (
    "insert into es.projection (name, version) values (%(name)s, %(version)s) on conflict do nothing"
)
_TAKE: Final[LiteralString] = """
update es.projection
set holder = %(holder)s, epoch = epoch + 1,
    expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where name = %(name)s and version = %(version)s and partition = 0
  and (holder is null or holder = %(holder)s or expires_at <= clock_timestamp())
returning epoch, positions
"""
_SAVE: Final[LiteralString] = """
update es.projection
set positions = positions || %(positions)s, moved_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
where name = %(name)s and version = %(version)s and partition = 0 and epoch = %(epoch)s
"""
_RELEASE: Final[LiteralString] = """
update es.projection set holder = null, expires_at = null
where name = %(name)s and version = %(version)s and partition = 0 and epoch = %(epoch)s
"""
_FORGET: Final[LiteralString] = """
update es.projection
set positions = '{}', epoch = epoch + 1, holder = null, expires_at = null, moved_at = clock_timestamp(),
    paused_at = null, paused_release = null, failed_lane = null, failed_position = null, attempts = null,
    error = null
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


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to move a projection, as long as nobody else has a higher epoch."""

    name: str
    version: int
    holder: str
    lease_seconds: float
    epoch: int = 0

    async def taken(self, connection: AsyncConnection[Any]) -> tuple[Lease, Mapping[int, int]] | None:
        """Take the lease and return it with the checkpoints by lane; None when another holds it."""
        await connection.execute(_ENTER, self._key())
        wanted = {**self._key(), "holder": self.holder, "lease_seconds": self.lease_seconds}
        cursor = await connection.execute(_TAKE, wanted)
        row = await cursor.fetchone()
        if row is None:
            return None
        lease = Lease(self.name, self.version, self.holder, self.lease_seconds, row[0])
        return lease, by_lane(row[1])

    async def save(self, connection: AsyncConnection[Any], moved_to: Position | None) -> None:
        """Save a checkpoint, or none, and renew the lease, within the caller's transaction.

        Errors: LeaseLost, and the transaction must not be committed.
        """
        positions = {str(moved_to.lane): moved_to.number} if moved_to else {}
        cursor = await connection.execute(
            _SAVE,
            {
                **self._key(),
                "epoch": self.epoch,
                "positions": Jsonb(positions),
                "lease_seconds": self.lease_seconds,
            },
        )
        if cursor.rowcount != 1:
            raise LeaseLost

    async def release(self, connection: AsyncConnection[Any]) -> None:
        """Let the next one take it at once."""
        await connection.execute(_RELEASE, {**self._key(), "epoch": self.epoch})

    def _key(self) -> dict[str, object]:
        return {"name": self.name, "version": self.version}


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
