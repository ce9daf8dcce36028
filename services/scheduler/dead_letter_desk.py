"""Dead letters for operators: list them, and send one round again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from services.domain import attempts
from services.domain.errors import DeadLetterNotFound
from services.projections.dead_letters import dead_letters
from services.runtime import arguments
from services.runtime.ledger import Why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.projections.dead_letters import DeadLetterRow
    from services.projections.reading import Reads
    from services.runtime.ledger import Ledger
    from services.runtime.tokens import CursorPart

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 500
REASON_CHARACTERS_MAX: Final = 500


class DeadLetterDesk:
    """Lists and redrives."""

    def __init__(self, ledger: Ledger, reads: Reads) -> None:
        self._ledger = ledger
        self._reads = reads

    async def page(
        self, cursor: Sequence[CursorPart], page_size: int
    ) -> tuple[Sequence[DeadLetterRow], Sequence[CursorPart]]:
        """Return a page, newest first, and the cursor of the next one; an empty cursor is first and last.

        Errors: InvalidArgument, StoreDown.
        """
        limit = arguments.page_size(page_size, default=PAGE_DEFAULT, most=PAGE_MAX)
        async with self._reads.of_all() as connection:
            found = await dead_letters(connection, after=_after(cursor), limit=limit + 1)
        rows = found[:limit]
        return rows, _cursor(rows[-1]) if len(found) > limit else ()

    async def redrive(self, submission_id: UUID, reason: str) -> bool:
        """Send a dead letter round again; False when somebody else had done it.

        Errors: InvalidArgument, DeadLetterNotFound.
        """
        words = arguments.cleaned(reason, "reason", most=REASON_CHARACTERS_MAX, least=1)
        history = await self._ledger.history(submission_id)
        if not any(each.event_type == "SubmissionDeadLettered" for each in history):
            raise DeadLetterNotFound(dead_letter=str(submission_id))
        state = await self._ledger.submission(str(submission_id))
        change = await self._ledger.change_submission(
            state, lambda current: attempts.redrive(current, words), Why(UUID(state.jobs[0]))
        )
        return change.done


def _after(cursor: Sequence[CursorPart]) -> tuple[datetime, UUID] | None:
    if not cursor:
        return None
    at, submission_id = cursor
    return datetime.fromisoformat(str(at)), UUID(str(submission_id))


def _cursor(row: DeadLetterRow) -> Sequence[CursorPart]:
    return row.dead_lettered_at.isoformat(), str(row.submission_id)
