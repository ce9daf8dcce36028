"""What the monitor does about a fired gap: always through the service that owns the matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts
from directorybolt.scheduler.v1 import scheduler_service_pb2
from grpc.aio import AioRpcError

from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.domain.attempts import duration
from services.domain.gap_rules import GapRule, Remedy
from services.runtime.ledger import Stream

if TYPE_CHECKING:
    from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub

    from services.projections.gaps import DueGap
    from services.runtime.ledger import Ledger

CALL_SECONDS: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


class Remedies:
    """Acts on gaps. A peer that fails is logged and does not keep the alert from being raised."""

    def __init__(self, ledger: Ledger, scheduler: SchedulerServiceStub) -> None:
        self._ledger = ledger
        self._scheduler = scheduler

    async def apply(self, rule: GapRule, gap: DueGap) -> None:
        """Do what the rule asks for; doing it twice does no harm."""
        if rule.remedy is Remedy.REAP_LEASE:
            await self._reap(gap)
        elif rule.remedy is Remedy.MARK_WORKER_LOST:
            await self._mark_lost(gap)

    async def _reap(self, gap: DueGap) -> None:
        request = scheduler_service_pb2.ReapLeaseRequest(
            submission=gap.subject, claim_version=gap.claim_version
        )
        try:
            await self._scheduler.ReapLease(request, timeout=CALL_SECONDS)
        except AioRpcError as error:
            _log.error("remedy_failed", rule=gap.rule, subject=gap.subject, code=error.code().name)

    async def _mark_lost(self, gap: DueGap) -> None:
        """Record it; the leases of a lost worker fall silent with it, and are reaped one by one."""
        worker_id = gap.subject.removeprefix("workers/")
        silent = duration(gap.seen_at - gap.heard_at)
        # Two monitors that see the same gap append the same event id: one WorkerLost.
        await self._ledger.append(
            Stream(identity.worker_stream(worker_id), events.WORKER),
            [facts.WorkerLost(worker_id=worker_id, silent_duration=silent)],
            ANY_VERSION,
            event_ids=[identity.event_id_for("worker_lost", str(gap.alert_id))],
        )
