"""Raises an alert for every read model that stopped at an event, and ends it when the read model goes on.

No gap rule can see this: nothing is missing from the log, it is only read no more. A release that meets an
event of a newer one stops in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts

from eventstore.following.why_behind import why_behind
from services.domain import identity
from services.domain.attempts import timestamp
from services.projections.alerts import open_alerts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventstore.following.standing import Pause, Standing
    from services.monitor.alert_desk import AlertDesk
    from services.projections.reading import Reads

RULE: Final = "paused_projection"
INTERVAL_SECONDS: Final = 5.0
WENT_ON: Final = "went on"

_log = structlog.stdlib.get_logger(__name__)


class PausedProjections:
    """Watches whether read models stand still."""

    def __init__(self, reads: Reads, desk: AlertDesk) -> None:
        self._reads = reads
        self._desk = desk

    async def run_once(self) -> bool:
        """Look once, raise and resolve; never True: the next look is the next interval's.

        Errors: StoreDown; StoreUnavailable.
        """
        standings, known = await self._look()
        paused = [fact for each in standings for fact in _alerts_for(each)]
        for fact in paused:
            if await self._desk.raise_alert(fact):
                _log.warning("alert_raised", rule=RULE, subject=fact.subject, alert_id=fact.alert_id)
        still = {fact.alert_id for fact in paused}
        for alert_id in known:
            if str(alert_id) not in still:
                await self._desk.resolve(alert_id, WENT_ON)
        return False

    async def _look(self) -> tuple[Sequence[Standing], Sequence[UUID]]:
        async with self._reads.of_all() as connection:
            # The alerts first: one that is raised after that is not taken for over.
            known = await open_alerts_of(connection, RULE)
            return await why_behind(connection), known


def _alerts_for(standing: Standing) -> Iterator[facts.AlertRaised]:
    subject = f"projections/{standing.name}"
    for pause in standing.pauses:
        opened = f"{standing.version}/{pause.partition}/{pause.paused_at.isoformat()}"
        yield facts.AlertRaised(
            alert_id=str(identity.alert_id_for(RULE, subject, opened)),
            rule=RULE,
            subject=subject,
            severity=facts.SEVERITY_CRITICAL,
            summary=f"{subject}: {_words(pause)}",
            open_time=timestamp(pause.paused_at),
            due_time=timestamp(pause.paused_at),
        )


def _words(pause: Pause) -> str:
    return f"the read model stopped at position {pause.position} of lane {pause.lane}: {pause.error}"
