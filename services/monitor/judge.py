"""The loop that judges open gaps: which are due, what is done about them, and which alerts are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from services.projections.checkpoints import snapshot
from services.projections.gaps import GapsProjection, alerts_over, due_gaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.domain.gap_rules import GapRule
    from services.monitor.alert_desk import AlertDesk
    from services.monitor.remedies import Remedies
    from services.projections.gaps import DueGap
    from services.runtime.coverage import Coverage

GAP_CLOSED: Final = "gap closed"

_log = structlog.stdlib.get_logger(__name__)


class GapJudge:
    """Fires gaps, once each, and resolves alerts whose gap is gone."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        rules: Sequence[GapRule],
        desk: AlertDesk,
        remedies: Remedies,
        coverage: Coverage,
    ) -> None:
        self._pool = pool
        self._rules = {rule.name: rule for rule in rules}
        self._desk = desk
        self._remedies = remedies
        self._coverage = coverage

    async def run_once(self) -> bool:
        """Judge all that is due; never True: the next look is the next interval's."""
        try:
            gaps, over = await self._look()
        except Exception:
            self._coverage.lose()
            raise
        for gap in gaps:
            await self._fire(gap)
        for alert_id in over:
            await self._desk.resolve(str(alert_id), GAP_CLOSED)
        return False

    async def _look(self) -> tuple[Sequence[DueGap], Sequence[UUID]]:
        """Return gaps that may fire, and alerts whose gap is over."""
        async with self._pool.connection() as connection:
            seen = await snapshot(
                connection, GapsProjection.name, GapsProjection.version, GapsProjection.lanes
            )
            covered_until = self._coverage.look(seen)
            if covered_until is None:
                return (), ()
            due = await due_gaps(connection)
            over = await alerts_over(connection)
        ripe = [gap for gap in due if gap.due_at <= covered_until and self._may_fire(gap)]
        return ripe, over

    def _may_fire(self, gap: DueGap) -> bool:
        rule = self._rules.get(gap.rule)
        return rule is not None and self._coverage.grants(rule.after)

    async def _fire(self, gap: DueGap) -> None:
        rule = self._rules[gap.rule]
        if not await self._remedies.condition_holds(rule):
            return
        await self._remedies.apply(rule, gap)
        if await self._desk.raise_for(gap, rule):
            _log.warning("alert_raised", rule=rule.name, subject=gap.subject)
