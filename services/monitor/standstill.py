"""Whether work stands still: slots stay free and nothing is sent out, although work is due.

A backlog is no standstill: while workers are busy, or work goes out slowly because sites want it so, what
waits waits for good reason. So both must hold without a break for as long as the rule waits.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.submitter.v1 import submitter_service_pb2
from grpc.aio import AioRpcError

from services.domain.gap_rules import Condition
from services.projections.gaps import since_dispatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from directorybolt.submitter.v1.submitter_service_pb2_grpc import SubmitterServiceStub

    from services.domain.gap_rules import GapRule
    from services.projections.reading import Reads
    from services.runtime.clock import Clock

CALL_SECONDS: Final = 2.0
#: A longer pause between two looks is a break: nobody knows what went on.
_LOOKS_APART_SECONDS_MAX: Final = 15.0

_log = structlog.stdlib.get_logger(__name__)


class Standstill:
    """Remembers since when work stands still."""

    def __init__(self, reads: Reads, submitter: SubmitterServiceStub, clock: Clock) -> None:
        self._reads = reads
        self._submitter = submitter
        self._clock = clock
        self._since: float | None = None
        self._looked_at = clock.monotonic()

    async def blocked(self, rules: Iterable[GapRule]) -> Collection[str]:
        """Return the names of those rules whose further condition does not hold."""
        asked = {rule.name: rule for rule in rules if rule.condition is Condition.STANDSTILL}
        if not asked:
            self._since = None
            return frozenset()
        lasted = await self._lasted()
        return {name for name, rule in asked.items() if lasted is None or lasted < rule.after}

    async def _lasted(self) -> timedelta | None:
        """Return how long work has stood still; None when it does not."""
        now = self._clock.monotonic()
        if now - self._looked_at > _LOOKS_APART_SECONDS_MAX or not await self._slots_free():
            self._since = None
        elif self._since is None:
            self._since = now
        self._looked_at = now
        if self._since is None:
            return None
        return min(timedelta(seconds=now - self._since), await self._since_dispatch())

    async def _slots_free(self) -> bool:
        """Return whether a worker could take more; not knowing is no: silence has rules of its own."""
        request = submitter_service_pb2.ListWorkersRequest()
        try:
            answer = await self._submitter.ListWorkers(request, timeout=CALL_SECONDS)
        except AioRpcError as error:
            _log.warning("workers_unknown", code=error.code().name)
            return False
        running = submitter_service_pb2.WORKER_STATE_RUNNING
        return any(each.busy < each.slots for each in answer.workers if each.state == running)

    async def _since_dispatch(self) -> timedelta:
        async with self._reads.of_all() as connection:
            since = await since_dispatch(connection)
        return timedelta.max if since is None else since
