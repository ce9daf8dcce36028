"""The loop that judges open gaps: which are due, what is done about them, and which alerts are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from services.monitor import paused_projections
from services.projections.checkpoints import snapshot
from services.projections.gaps import GapsProjection, alerts_over, due_gaps
from services.runtime.telemetry import ALERT_ID, GAP_RULE, GAP_SUBJECT, start_leg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from services.domain.gap_rules import GapRule
    from services.monitor.alert_desk import AlertDesk
    from services.monitor.remedies import Remedies
    from services.monitor.standstill import Standstill
    from services.projections.gaps import DueGap
    from services.projections.reading import Reads
    from services.runtime.config import TraceMode
    from services.runtime.coverage import Coverage

GAP_CLOSED: Final = "gap closed"

_log = structlog.stdlib.get_logger(__name__)


class GapJudge:
    """Fires gaps, once each, and resolves alerts whose gap is gone."""

    def __init__(
        self,
        reads: Reads,
        rules: Sequence[GapRule],
        coverage: Coverage,
        *,
        desk: AlertDesk,
        remedies: Remedies,
        standstill: Standstill,
        trace_mode: TraceMode,
    ) -> None:
        self._reads = reads
        self._rules = {rule.name: rule for rule in rules}
        self._coverage = coverage
        self._desk = desk
        self._remedies = remedies
        self._standstill = standstill
        self._trace_mode: TraceMode = trace_mode

    async def run_once(self) -> bool:
        """Judge all that is due; never True: the next look is the next interval's."""
        try:
            gaps, over = await self._look()
        except Exception:
            self._coverage.lose()
            raise
        blocked = await self._standstill.blocked(self._rules[gap.rule] for gap in gaps)
        failures = [await self._fire(gap) for gap in gaps if gap.rule not in blocked]
        for alert_id in over:
            await self._desk.resolve(alert_id, GAP_CLOSED)
        for failure in failures:
            if failure is not None:
                raise failure
        return False

    async def _look(self) -> tuple[Sequence[DueGap], Sequence[UUID]]:
        """Return gaps that may fire, and alerts whose gap is over."""
        async with self._reads.of_all() as connection:
            # The checkpoint is read before the gaps: what it covers, they show.
            seen = await snapshot(
                connection, GapsProjection.name, GapsProjection.version, GapsProjection.lanes
            )
            covered_until = self._coverage.look(seen)
            if covered_until is None:
                return (), ()
            ripe = [rule for rule in self._rules.values() if self._coverage.grants(rule.after)]
            return await due_gaps(connection, ripe, covered_until), await alerts_over(
                connection, beside=[paused_projections.RULE]
            )

    async def _fire(self, gap: DueGap) -> Exception | None:
        """Act on a gap; what goes wrong is returned, so that one gap cannot keep the others waiting."""
        attributes = {GAP_RULE: gap.rule, GAP_SUBJECT: gap.subject, ALERT_ID: str(gap.alert_id)}
        try:
            with start_leg(
                "monitor.judge", origin=gap.trace_parent, mode=self._trace_mode, attributes=attributes
            ):
                await self._act(gap, self._rules[gap.rule])
        except Exception as error:  # noqa: BLE001  # the round raises it when every gap had its turn
            return error
        return None

    async def _act(self, gap: DueGap, rule: GapRule) -> None:
        await self._remedies.apply(rule, gap)
        if await self._desk.raise_for(gap, rule):
            _log.warning("alert_raised", rule=rule.name, subject=gap.subject, alert_id=str(gap.alert_id))
