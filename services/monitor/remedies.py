"""What the monitor does about a fired gap: always through the service that owns the matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts
from directorybolt.scheduler.v1 import scheduler_service_pb2
from directorybolt.submitter.v1 import submitter_service_pb2
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError

from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.domain.gap_rules import Condition, GapRule, Remedy
from services.runtime.ledger import Stream

if TYPE_CHECKING:
    from directorybolt.scheduler.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
    from directorybolt.submitter.v1.submitter_service_pb2_grpc import SubmitterServiceStub

    from services.projections.gaps import DueGap
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger

CALL_SECONDS: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


class Remedies:
    """Acts on gaps. A remedy that fails is logged and does not keep the alert from being raised."""

    def __init__(
        self, ledger: Ledger, scheduler: SchedulerServiceStub, submitter: SubmitterServiceStub, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._scheduler = scheduler
        self._submitter = submitter
        self._clock = clock

    async def condition_holds(self, rule: GapRule) -> bool:
        """Return whether the rule's further condition holds; an unknown answer counts as yes."""
        if rule.condition is Condition.ALWAYS:
            return True
        try:
            answer = await self._submitter.ListWorkers(
                submitter_service_pb2.ListWorkersRequest(), timeout=CALL_SECONDS
            )
        except AioRpcError as error:
            _log.warning("condition_unknown", rule=rule.name, code=error.code().name)
            return True
        return any(worker.busy < worker.slots for worker in answer.workers)

    async def apply(self, rule: GapRule, gap: DueGap) -> None:
        """Do what the rule asks for."""
        try:
            if rule.remedy is Remedy.REAP_LEASE:
                await self._reap(gap)
            elif rule.remedy is Remedy.MARK_WORKER_LOST:
                await self._mark_lost(gap)
        except AioRpcError as error:
            _log.error("remedy_failed", rule=rule.name, subject=gap.subject, code=error.code().name)

    async def _reap(self, gap: DueGap) -> None:
        request = scheduler_service_pb2.ReapLeaseRequest(
            submission=gap.subject, claim_version=gap.claim_version
        )
        await self._scheduler.ReapLease(request, timeout=CALL_SECONDS)

    async def _mark_lost(self, gap: DueGap) -> None:
        worker_id = gap.subject.removeprefix("workers/")
        silent = Duration()
        silent.FromTimedelta(self._clock.now() - gap.opened_at)
        stream = Stream(identity.worker_stream(worker_id), events.WORKER)
        # Two monitors that see the same gap append the same event id: one WorkerLost.
        await self._ledger.append(
            stream,
            [facts.WorkerLost(worker_id=worker_id, silent_duration=silent)],
            ANY_VERSION,
            event_ids=[identity.event_id_for("worker_lost", str(gap.alert_id))],
        )
