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
        """Recompute the ledger's chain up to its head of now."""
        found = await verify(self._store)
        answer = pb.VerifyLogResponse(
            intact=found.defect is None,
            events_count=found.events_count,
            end_time=timestamp(found.end_recorded_at) if found.end_recorded_at else None,
        )
        if found.first_bad is not None and found.defect is not None:
            answer.first_bad_position = self._sealer.position_token(found.first_bad)
            answer.defect = found.defect.value
        return answer
