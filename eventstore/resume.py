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
where name = %(name)s and (%(version)s::integer is null or version = %(version)s)
  and paused_at is not null and (%(except_release)s::text is null or paused_release <> %(except_release)s)
"""


async def resume(
    connection: AsyncConnection,
    name: str,
    version: int | None = None,
    *,
    except_release: str | None = None,
) -> int:
    """Resume a projection in all of its versions or one; return how many partitions were paused.

    With `except_release`, what that release paused itself stays paused.
    """
    wanted = {"name": name, "version": version, "except_release": except_release}
    return (await connection.execute(_RESUME, wanted)).rowcount
