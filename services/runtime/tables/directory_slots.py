"""Slots of a directory: no more attempts at once, and none sooner after another, than the directory bears.

Kept in the database, judged by its clock, so that they hold across all workers. A slot expires by itself
when its worker falls silent; every pulse renews it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, LiteralString

from services.runtime.tables.pool import database_errors

if TYPE_CHECKING:
    from typing import Any

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

_TAKE: Final[LiteralString] = (
    "select taken, retry_after_seconds, reason"
    " from runtime.take_directory_slot_v1(%s, %s::uuid, %s, %s, %s, %s)"
)
_RELEASE: Final[LiteralString] = (
    "delete from runtime.directory_slot where directory_id = %s and submission_id = %s::uuid and holder = %s"
)
# An attempt that runs has a slot, whoever took it first: politeness counts what is true.
_RENEW: Final[LiteralString] = """
insert into runtime.directory_slot as slot (directory_id, submission_id, holder, expires_at)
values (%s, %s::uuid, %s, clock_timestamp() + make_interval(secs => %s))
on conflict (directory_id, submission_id) do update
set holder = excluded.holder, expires_at = excluded.expires_at
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """The slot is ours until it expires."""


@dataclass(frozen=True, slots=True)
class Busy:
    """There is no slot now: too many attempts run, or the last one is too recent."""

    retry_after_seconds: float
    reason: Literal["slots", "gap"]


class DirectorySlots:
    """Takes slots for one holder, usually a worker."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], holder: str) -> None:
        self._pool = pool
        self._holder = holder

    async def take(
        self,
        directory_id: str,
        submission_id: str,
        *,
        attempts_at_once_max: int,
        gap_seconds: float,
        expires_in_seconds: float,
    ) -> Taken | Busy:
        """Take a slot for a submission; one that has a slot keeps it.

        Errors: StoreDown.
        """
        wanted = (directory_id, submission_id, self._holder)
        with database_errors():
            async with self._pool.connection() as connection:
                answer = await connection.execute(
                    _TAKE, [*wanted, attempts_at_once_max, float(gap_seconds), float(expires_in_seconds)]
                )
                taken, retry_after_seconds, reason = await answer.fetchone() or (False, gap_seconds, "gap")
        return Taken() if taken else Busy(retry_after_seconds, reason)

    async def renew(self, directory_id: str, submission_id: str, expires_in_seconds: float) -> None:
        """Keep the slot of an attempt that runs; it is ours now, also if another took it first.

        Errors: StoreDown.
        """
        await self._execute(_RENEW, directory_id, submission_id, self._holder, float(expires_in_seconds))

    async def release(self, directory_id: str, submission_id: str) -> None:
        """Give our slot back; one that is another's by now is left alone.

        Errors: StoreDown.
        """
        await self._execute(_RELEASE, directory_id, submission_id, self._holder)

    async def _execute(self, statement: LiteralString, *values: str | float) -> None:
        with database_errors():
            async with self._pool.connection() as connection:
                await connection.execute(statement, values)
