"""Recomputes the chain of every ledger lane, event by event, outside of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.audit.verify import verify
from eventstore.care.check import Finding
from eventstore.postgres import PostgresEventStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventstore.types import Verification


async def whole_chain(conninfo: str, lanes: Sequence[int]) -> Sequence[Finding]:
    """Verify every ledger lane and return what does not fit.

    Errors: StoreUnavailable.
    """
    async with PostgresEventStore.open(conninfo) as store:
        verified = [await verify(store, lane) for lane in lanes]
    return [finding for each in verified for finding in judge_verification(each)]


def judge_verification(verified: Verification) -> Iterator[Finding]:
    """Find the first event of a lane that does not fit."""
    if verified.first_bad is not None and verified.defect is not None:
        place = f"lane {verified.first_bad.lane}, position {verified.first_bad.number}"
        yield Finding(
            f"the chain breaks ({verified.defect.value}) after {verified.events_count} sound events",
            place,
            "compare this event and the one before with a backup or an export, and find out who changed them",
        )
