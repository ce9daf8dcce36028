"""Whether the log is whole, as the contract says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from eventstore.audit.verify import verify
from services.domain.attempts import timestamp

if TYPE_CHECKING:
    from eventstore.store import EventStore
    from services.runtime.tokens import TokenSealer


class Verification:
    """Verifies one store."""

    def __init__(self, store: EventStore, sealer: TokenSealer) -> None:
        self._store = store
        self._sealer = sealer

    async def run(self) -> pb.VerifyLogResponse:
        """Recompute the chain of every lane of the ledger up to its head of now."""
        lanes = [await verify(self._store, lane) for lane in range(self._store.lanes)]
        ends = [each.end_recorded_at for each in lanes if each.end_recorded_at]
        answer = pb.VerifyLogResponse(
            intact=all(each.defect is None for each in lanes),
            events_count=sum(each.events_count for each in lanes),
            end_time=timestamp(max(ends)) if ends else None,
        )
        for each in lanes:
            if each.first_bad is not None and each.defect is not None:
                answer.first_bad_position = self._sealer.position_token(each.first_bad)
                answer.defect = each.defect.value
                break
        return answer
