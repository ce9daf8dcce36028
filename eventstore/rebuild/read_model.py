"""A read model in a database, and the connection on which one process at a time works on it.

The lock is the session's: whoever is killed leaves it at once, and who lost the connection can write nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg

from eventstore.connections import connect
from eventstore.lanes import followed
from eventstore.rebuild.errors import RebuildUnderWay, RoleLeft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.rebuild.rebuildable import Rebuildable
    from eventstore.store import EventStore

#: What may write the rows of what is being built, and nothing else.
REBUILD_ROLE: Final = "es_rebuild"
OWNER_ROLE: Final = "es_owner"
#: Beside it the hash of a name: advisory locks of this room.
LOCK_CLASS: Final = 0x6572
#: How long the database may take to notice that a process is gone.
LEAVING_SECONDS_MAX: Final = 0.5

_LOCK: Final[LiteralString] = "select pg_try_advisory_lock(%s, hashtext(%s))"
_UNLOCK: Final[LiteralString] = "select pg_advisory_unlock(%s, hashtext(%s))"
# Building an index may take long. What is lost in a crash is rows and checkpoint alike.
_PREPARE: Final[LiteralString] = (
    "select set_config('statement_timeout', '0', false), set_config('synchronous_commit', 'off', false)"
)


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A projection, the log that it follows, and the database of its tables.

    The database is named as the owner of the tables reaches it. `role` is somebody who sees all live rows;
    None: the owner.
    """

    store: EventStore
    conninfo: str
    projection: Rebuildable
    role: str | None = None

    @property
    def name(self) -> str:
        """The projection's name."""
        return self.projection.name

    @property
    def shadow_schema(self) -> str:
        """The schema in which it is rebuilt."""
        return f"rebuild_{self.name}"

    @property
    def retired_schema(self) -> str:
        """The schema in which the tables wait that were live before the swap."""
        return f"retired_{self.name}"

    @property
    def lanes(self) -> Sequence[int]:
        """The lanes that it is read from."""
        return followed(self.projection.lanes, self.store.lanes)

    async def heads(self) -> Mapping[int, int]:
        """Return the last position of each lane that it follows."""
        return {lane: (await self.store.head(lane)).number for lane in self.lanes}


@asynccontextmanager
async def at_work(model: ReadModel, purpose: str = "rebuild") -> AsyncGenerator[AsyncConnection]:
    """Lend the connection on which nobody else works on this read model.

    Errors: RebuildUnderWay; psycopg.Error.
    """
    async with await connect(model.conninfo, None, f"{purpose} {model.name}") as connection:
        await connection.execute(_PREPARE)
        if not await _lock_soon(connection, model.name):
            raise RebuildUnderWay
        try:
            yield connection
        finally:
            # The session's end would release it, but a moment after `close` has returned.
            with suppress(psycopg.Error):
                await unlock(connection, model.name)


async def _lock_soon(connection: AsyncConnection[Any], name: str) -> bool:
    """Take the lock, waiting a moment for one who has just been killed."""
    give_up_at = asyncio.get_running_loop().time() + LEAVING_SECONDS_MAX
    while not await try_lock(connection, name):
        if asyncio.get_running_loop().time() > give_up_at:
            return False
        await asyncio.sleep(LEAVING_SECONDS_MAX / 10)
    return True


async def try_lock(connection: AsyncConnection[Any], name: str) -> bool:
    """Take the lock of a name for as long as the connection lives; False when another has it."""
    cursor = await connection.execute(_LOCK, [LOCK_CLASS, name])
    row = await cursor.fetchone()
    return row is not None and row[0]


async def unlock(connection: AsyncConnection[Any], name: str) -> None:
    """Give the lock of a name back."""
    await connection.execute(_UNLOCK, [LOCK_CLASS, name])


@asynccontextmanager
async def acting_as(connection: AsyncConnection[Any], role: str) -> AsyncGenerator[None]:
    """Act in a role within the transaction under way, and as the login again afterwards.

    Errors: RoleLeft when what ran meanwhile took another role; the transaction must not be committed.
    """
    await connection.execute("select set_config('role', %s, true)", [role])
    yield
    cursor = await connection.execute("select current_setting('role'), set_config('role', 'none', true)")
    row = await cursor.fetchone()
    if row is None or row[0] != role:
        raise RoleLeft
