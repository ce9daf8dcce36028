"""Verifies the whole log, event by event and seal by seal, outside of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.audit.verify_log import verify_log
from eventstore.care.check import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventstore.audit.verdict import LogVerdict


async def whole_chain(conninfo: str, workers: int) -> Sequence[Finding]:
    """Verify every ledger lane against its chain and its log seals, and return what does not fit.

    Errors: psycopg.Error.
    """
    return list(judge_verdict(await verify_log(conninfo, workers=workers)))


def judge_verdict(verdict: LogVerdict) -> Iterator[Finding]:
    """Find events and log seals that do not fit."""
    for each in verdict.findings:
        yield Finding(
            each.words,
            f"lane {each.lane}, position {each.from_position}",
            "compare it with a backup, an export or the seals kept outside, and find out who changed it",
        )
