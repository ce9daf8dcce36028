"""The poll loop: messages become claims, claims become attempts, and the loop's own round is its pulse.

The pulse of a worker comes from here and not from a side thread: a worker whose loop stands still falls
silent, however alive its process is. A message is deleted once its claim is recorded; from then on only
leases and gap rules bring the work back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from services.domain.errors import SubmissionNotFound
from services.runtime.queue import WORK_QUEUES, UnreadableMessage

if TYPE_CHECKING:
    from services.runtime.queue import Received, WorkQueue
    from services.submitter.attempt_runner import AttemptRunner
    from services.submitter.claiming import Claim, Claimer
    from services.submitter.presence import Presence
    from services.submitter.settings import WorkerSettings

#: Longest wait for a message when all queues are empty: also the longest that a pulse is late.
_WAIT_SECONDS: Final = 1.0
#: Shorter than what a supervisor grants a process that is asked to end.
FINISH_SECONDS_MAX: Final = 15.0
_BREAK_OFF_SECONDS_MAX: Final = 3.0

_log = structlog.get_logger(__name__)


class Worker:
    """Takes work while it has free slots; P1 before P2 before P3."""

    def __init__(
        self,
        queue: WorkQueue,
        claimer: Claimer,
        runner: AttemptRunner,
        presence: Presence,
        settings: WorkerSettings,
    ) -> None:
        self._queue = queue
        self._claimer = claimer
        self._runner = runner
        self._presence = presence
        self._settings = settings
        self._running: set[asyncio.Task[None]] = set()

    async def run_once(self) -> bool:
        """Do one round: pulse, take at most one message, start its attempt; True when more may wait."""
        await self._presence.beat(busy=len(self._running))
        if self._presence.draining:
            return False
        if len(self._running) >= self._settings.slots:
            await asyncio.wait(self._running, timeout=_WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return True
        received = await self._receive()
        if received is not None:
            await self._take(received)
        return True

    async def _receive(self) -> Received | None:
        last = WORK_QUEUES[-1]
        for name in WORK_QUEUES:
            messages = await self._queue.receive(
                name,
                limit=1,
                wait_seconds=_WAIT_SECONDS if name == last else 0,
                visibility_seconds=self._settings.lease.total_seconds(),
            )
            if messages:
                return messages[0]
        return None

    async def _take(self, received: Received) -> None:
        try:
            claim = await self._claimer.claim(received.work())
        except (UnreadableMessage, SubmissionNotFound) as error:
            # Left alone, it comes back until the queue itself moves it to its dead letters.
            _log.warning("message_not_ours", message_id=received.message_id, error=str(error))
            return
        if claim is not None:
            # Before the delete, which may fail: a claim that nobody works on waits for its lease to end.
            self._start(claim, received)
        await self._queue.delete(received)

    def _start(self, claim: Claim, received: Received) -> None:
        task = asyncio.create_task(
            self._runner.run(claim, received.trace_parent), name=f"attempt {claim.state.submission_id}"
        )
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._presence.progressed()
        if not task.cancelled() and task.exception() is not None:
            _log.error("attempt_broke", attempt=task.get_name(), exc_info=task.exception())

    async def finish(self, within_seconds: float = FINISH_SECONDS_MAX) -> None:
        """Let running attempts end; call it when the loop takes no more.

        One that takes longer is broken off, and its lease runs out: whoever stops us would else kill us, and
        a worker that ended in good order would look lost.
        """
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=within_seconds)
        for task in late:
            _log.warning("attempt_broken_off", attempt=task.get_name(), after_seconds=within_seconds)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_BREAK_OFF_SECONDS_MAX)
