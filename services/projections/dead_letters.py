"""Submissions that ran out of attempts, for operators: a view of scheduler.work, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection

    from services.domain.kinds import ErrorClass

_PAGE: Final[LiteralString] = """
select submission_id, customer_id, directory_id, attempts_used, error_class, code,
  settled_at as dead_lettered_at
from scheduler.work
where dead and (%(at)s::timestamptz is null or (settled_at, submission_id) < (%(at)s, %(submission_id)s))
order by settled_at desc, submission_id desc limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A submission that ran out of attempts, and why the last one failed."""

    submission_id: UUID
    customer_id: UUID
    directory_id: str
    attempts_used: int
    error_class: ErrorClass
    code: str
    dead_lettered_at: datetime


async def dead_letters(
    connection: AsyncConnection[Any], *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[DeadLetterRow]:
    """Return a page of dead letters, newest first; `after` is the last one of the page before."""
    at, submission_id = after or (None, None)
    cursor = connection.cursor(row_factory=class_row(DeadLetterRow))
    await cursor.execute(_PAGE, {"at": at, "submission_id": submission_id, "limit": limit})
    return await cursor.fetchall()
