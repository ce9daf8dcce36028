"""Lets paused partitions of a projection run again: the event that they stopped at is tried anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import LiteralString

    from psycopg import AsyncConnection

_RESUME: Final[LiteralString] = """
update es.projection
set paused_at = null, paused_release = null, failed_lane = null, failed_position = null,
    attempts = null, error = null
where name = %(name)s and (%(version)s::integer is null or version = %(version)s) and paused_at is not null
"""


async def resume(connection: AsyncConnection, name: str, version: int | None = None) -> int:
    """Resume a projection in one version or in all; return how many of its partitions were paused."""
    return (await connection.execute(_RESUME, {"name": name, "version": version})).rowcount
