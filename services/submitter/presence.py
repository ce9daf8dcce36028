"""A worker's own stream: that it began, that it is alive, that it was asked to drain, that it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directorybolt.event.v1 import pulse_events_pb2
from directorybolt.event.v1 import system_events_pb2 as facts

from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.domain.attempts import timestamp
from services.runtime.ledger import Stream

if TYPE_CHECKING:
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger
    from services.submitter.settings import WorkerSettings


class Presence:
    """Speaks for one worker."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: WorkerSettings) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._stream = Stream(identity.worker_stream(settings.worker_id), events.WORKER)
        self._read_to = 0
        self._polls = 0
        self._progress_at = clock.now()
        self._next_pulse = clock.monotonic()
        self.draining = False

    async def start(self, release: str, browser: str) -> None:
        """Record that the worker began; what was asked of it in an earlier life is forgotten."""
        fact = facts.WorkerStarted(
            worker_id=self._settings.worker_id,
            slots=self._settings.slots,
            release=release,
            browser=browser,
        )
        appended = await self._ledger.append(self._stream, [fact], ANY_VERSION)
        self._read_to = appended.versions[0]

    def progressed(self) -> None:
        """Note that an attempt moved."""
        self._progress_at = self._clock.now()

    def drain(self) -> None:
        """Take no more work."""
        self.draining = True

    async def beat(self, busy: int) -> None:
        """Count a round of the poll loop; when a pulse is due, send it and hear what was asked."""
        self._polls += 1
        if self._clock.monotonic() < self._next_pulse:
            return
        await self._listen()
        await self._ledger.pulse(self._stream, self._pulse(busy))
        self._next_pulse = self._clock.monotonic() + self._settings.pulse.total_seconds()

    def _pulse(self, busy: int) -> pulse_events_pb2.WorkerPulse:
        return pulse_events_pb2.WorkerPulse(
            worker_id=self._settings.worker_id,
            busy=busy,
            slots=self._settings.slots,
            polls=self._polls,
            draining=self.draining,
            progress_time=timestamp(self._progress_at),
        )

    async def _listen(self) -> None:
        news = await self._ledger.store.read_stream(
            self._stream.stream_id, from_version=self._read_to + 1, limit=100
        )
        for stored in news:
            self._read_to = stored.version
            self.draining = self.draining or stored.event_type == "WorkerDrainRequested"

    async def stop(self, reason: str) -> None:
        """Record that the worker ended in good order."""
        fact = facts.WorkerStopped(worker_id=self._settings.worker_id, reason=reason)
        await self._ledger.append(self._stream, [fact], ANY_VERSION)
