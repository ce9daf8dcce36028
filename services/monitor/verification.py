"""Whether the log is what it was, as the contract says it.

The work is done in a process of its own: it would keep the watchdog from everything else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import audit_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from eventstore.audit.verify_log import Progress, verify_log
from eventstore.types import PULSE_LANE, Position
from services.domain.attempts import timestamp
from services.domain.errors import PositionBeyondEnd

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from eventstore.audit.verdict import Finding, LogVerdict
    from eventstore.store import EventStore
    from services.monitor.audit_reads import AuditReads
    from services.monitor.log_sealing import LogSealing
    from services.runtime.tokens import TokenSealer

#: What the unary call looks at, so that it answers within its deadline.
EVENTS_MAX: Final = 1_000_000
#: Fewer are not worth another process.
EVENTS_IN_PROCESS_MAX: Final = 5_000
WORKERS: Final = 1


class Verification:
    """Verifies one store."""

    def __init__(
        self,
        database_url: str,
        store: EventStore,
        sealing: LogSealing,
        reads: AuditReads,
        sealer: TokenSealer,
    ) -> None:
        """Take the log, what its seals are checked against, and who records that it was read."""
        self._database_url = database_url
        self._store = store
        self._sealing = sealing
        self._reads = reads
        self._sealer = sealer

    async def run(self) -> pb.VerifyLogResponse:
        """Verify the last EVENTS_MAX events, up to the head of now.

        Errors: SealConflict when not even the archive of seals can be read; StoreUnavailable.
        """
        first = await self._record("VerifyLog", max(1, await self._head() - EVENTS_MAX))
        verdict = await self._verify(first, lambda _: None)
        answer = pb.VerifyLogResponse(
            intact=verdict.intact,
            events_count=verdict.events_count,
            end_time=timestamp(verdict.end_recorded_at) if verdict.end_recorded_at else None,
        )
        if verdict.first_bad is not None:
            answer.first_bad_position = self._sealer.position_token(verdict.first_bad)
            answer.defect = verdict.findings[0].check.value
        return answer

    async def whole(
        self, request: audit_pb2.VerifyWholeLogRequest
    ) -> AsyncGenerator[audit_pb2.VerifyWholeLogResponse]:
        """Verify from a position to the head of now; yields progress, and the verdict at the end.

        Errors: InvalidArgument; PositionBeyondEnd; SealConflict; StoreUnavailable.
        """
        first = await self._record("VerifyWholeLog", await self._first(request.from_position))
        news: asyncio.Queue[Progress] = asyncio.Queue()
        verifying = asyncio.create_task(self._verify(first, news.put_nowait))
        try:
            while not verifying.done() or not news.empty():
                progress = await _next(news, verifying)
                if progress is not None:
                    yield audit_pb2.VerifyWholeLogResponse(
                        events_done=progress.events_done, events_total=progress.events_total
                    )
            verdict = verifying.result()
            count = verdict.events_count
            yield audit_pb2.VerifyWholeLogResponse(
                events_done=count, events_total=count, verdict=self._verdict(verdict)
            )
        finally:
            verifying.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({verifying})

    async def _first(self, token: str) -> int:
        positions = self._sealer.read_position(token, field="from_position")
        for each in positions:
            if each.number > 1 and each.number > (await self._store.head(each.lane)).number:
                raise PositionBeyondEnd
        # One position stands for all lanes: the earliest leaves nothing out.
        return max(1, min((each.number for each in positions if each.lane != PULSE_LANE), default=1))

    async def _head(self) -> int:
        """Return how far the longest lane reaches."""
        return max([(await self._store.head(lane)).number for lane in range(self._store.lanes)])

    async def _record(self, method: str, first: int) -> int:
        head = await self._head()
        await self._reads.record(method, f"positions {first} to {head}", max(0, head - first + 1))
        return first

    async def _verify(self, first: int, on_progress: Callable[[Progress], None]) -> LogVerdict:
        few = await self._head() - first < EVENTS_IN_PROCESS_MAX
        return await verify_log(
            self._database_url,
            seals=self._sealing.archive,
            keys=self._sealing.keys,
            from_position=first,
            workers=0 if few else WORKERS,
            on_progress=on_progress,
        )

    def _verdict(self, verdict: LogVerdict) -> audit_pb2.LogVerdict:
        sealed = [Position(lane, number) for lane, number in sorted(verdict.sealed.items()) if number]
        return audit_pb2.LogVerdict(
            intact=verdict.intact,
            events_count=verdict.events_count,
            seals_count=verdict.seals_count,
            archived_events_count=verdict.archived_events_count,
            public_keys=sorted(key.hex() for key in verdict.keys),
            end_time=timestamp(verdict.end_recorded_at) if verdict.end_recorded_at else None,
            sealed_position=self._sealer.position_token(*sealed) if sealed else "",
            findings=map(self._finding, verdict.findings),
        )

    def _finding(self, finding: Finding) -> audit_pb2.LogFinding:
        return audit_pb2.LogFinding(
            check=finding.check.value,
            from_position=self._sealer.position_token(Position(finding.lane, finding.from_position)),
            to_position=self._sealer.position_token(Position(finding.lane, finding.to_position)),
            seal_number=finding.seal_number or 0,
            description=finding.words,
        )


async def _next(news: asyncio.Queue[Progress], working: asyncio.Task[LogVerdict]) -> Progress | None:
    """Return the next progress, or None when the work ended without more."""
    coming = asyncio.create_task(news.get())
    try:
        await asyncio.wait({coming, working}, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
