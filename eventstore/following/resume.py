"""Paused partitions of a projection: which there are, and how they run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.rows import class_row

from eventstore.following.standing import Pause

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    from psycopg import AsyncConnection

_PAUSED: Final[LiteralString] = """
select partition, failed_lane as lane, failed_position as position, attempts, error, paused_at
from es.projection
where name = %(name)s and version = %(version)s and paused_at is not null
order by paused_at, partition
"""

_RESUME: Final[LiteralString] = """
update es.projection
set paused_at = null, paused_release = null, failed_lane = null, failed_position = null,
    attempts = null, error = null
where name = %(name)s and (%(version)s::integer is null or version = %(version)s) and paused_at is not null
"""


async def paused(connection: AsyncConnection, name: str, version: int) -> Sequence[Pause]:
    """Return the paused partitions of a projection, the first that stopped first."""
    cursor = connection.cursor(row_factory=class_row(Pause))
    await cursor.execute(_PAUSED, {"name": name, "version": version})
    return await cursor.fetchall()


async def resume(connection: AsyncConnection, name: str, version: int | None = None) -> int:
    """Have a projection try again where it stopped; return how many of its partitions were paused.

    Without a version it is all of them.
    """
    return (await connection.execute(_RESUME, {"name": name, "version": version})).rowcount
