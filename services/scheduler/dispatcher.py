"""Sends out what is due: a shallow window of messages, chosen fairly.

Shallow, so that priorities, cancels and pauses act on nearly all that waits.

The dispatch is appended first and the message sent after it: a crash in between leaves a dispatch that
nobody claims, which the sweeper puts back; the other way round would leave a message that nobody wrote down.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog
from directorybolt.event.v1 import submission_events_pb2
from opentelemetry.trace import SpanKind

from services.domain import attempts, identity
from services.domain.errors import QueueDown
from services.domain.submission import Submission
from services.projections.dispatch_queue import outlook
from services.runtime.ledger import Why
from services.runtime.queue import WorkMessage, queue_of
from services.runtime.telemetry import (
    DIRECTORY_ID,
    DISPATCH_ID,
    SUBMISSION_ID,
    current_trace_parent,
    spanning,
    start_leg,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from google.protobuf.message import Message
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from eventstore.types import Position
    from services.projections.dispatch_queue import Due, Room
    from services.runtime.ledger import Change, Ledger
    from services.runtime.queue import WorkQueue
    from services.scheduler.fair_share import FairShare
    from services.scheduler.settings import SchedulerSettings

#: Messages per free slot: one to start with, one to go on with.
MESSAGES_PER_SLOT: Final = 2
#: What could not be sent is tried again after this.
RESEND_AFTER: Final = timedelta(seconds=5)

_log = structlog.stdlib.get_logger(__name__)


class Dispatcher:
    """Keeps the window full.

    `caught_up` waits until the read model covers a position, so that the next round sees this one.
    """

    def __init__(
        self,
        ledger: Ledger,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        queue: WorkQueue,
        *,
        share: FairShare,
        settings: SchedulerSettings,
        caught_up: Callable[[Position], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._queue = queue
        self._share = share
        self._settings = settings
        self._caught_up = caught_up

    async def run_once(self) -> bool:
        """Send out what there is room for; True when more may be due."""
        async with self._pool.connection() as connection:
            seen = await outlook(
                connection, worker_silence=self._settings.worker_silence, window=self._window
            )
        chosen = self._share.choose(seen.due, room=seen.window, in_flight=seen.in_flight, now=seen.room.now)
        sent = await asyncio.gather(
            *(self._dispatch(each, seen.room.now) for each in chosen), return_exceptions=True
        )
        await self._wait_for([each for each in sent if not isinstance(each, BaseException)])
        for each in sent:
            if isinstance(each, BaseException):
                raise each
        return bool(chosen)

    def _window(self, room: Room) -> int:
        """Return how many more messages may wait for workers."""
        most = MESSAGES_PER_SLOT * max(0, room.slots - room.held)
        return (most if room.slots else self._settings.window_without_workers) - room.dispatched

    async def _wait_for(self, changes: Sequence[Change[Submission]]) -> None:
        positions = [each.appended.position for each in changes if each.appended]
        last = {each.lane: each for each in sorted(positions, key=lambda position: position.number)}
        for position in last.values():
            await self._caught_up(position)

    async def _dispatch(self, due: Due, now: datetime) -> Change[Submission]:
        with start_leg(
            "scheduler.dispatch",
            origin=due.trace_parent,
            mode=self._settings.trace_mode,
            attributes={
                SUBMISSION_ID: str(due.submission_id),
                DIRECTORY_ID: due.directory_id,
            },
        ):
            change = await self._ledger.change_submission(
                Submission(submission_id=str(due.submission_id), customer_id=str(due.customer_id)),
                lambda state: _decide(state, now),
                Why(correlation_id=due.job_id),
            )
            if change.done:
                await self._send(change.after, now)
            return change

    async def _send(self, state: Submission, now: datetime) -> None:
        queue = queue_of(state.priority)
        with spanning(f"send {queue}", kind=SpanKind.PRODUCER, attributes=_send_attributes(state)):
            try:
                await self._queue.send(queue, _message(state), trace_parent=current_trace_parent())
            except QueueDown:
                await self._take_back(state, now)
                raise

    async def _take_back(self, state: Submission, now: datetime) -> None:
        """Put back what could not be sent; a message that went out all the same is then out of date."""
        reason = submission_events_pb2.DEFER_REASON_DISPATCH_LOST
        await self._ledger.change_submission(
            state,
            lambda current: attempts.defer(current, state.dispatch_id, now + RESEND_AFTER, reason),
            Why(correlation_id=UUID(state.jobs[0])),
        )
        _log.warning("dispatcher.send_failed", submission_id=state.submission_id)


def _decide(state: Submission, now: datetime) -> Sequence[Message] | None:
    dispatch_id = identity.identity("dispatch", state.submission_id, str(state.version))
    return attempts.dispatch(state, str(dispatch_id), queue_of(state.priority), now)


def _send_attributes(state: Submission) -> dict[str, str]:
    return {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": queue_of(state.priority),
        SUBMISSION_ID: state.submission_id,
        DISPATCH_ID: state.dispatch_id,
    }


def _message(state: Submission) -> WorkMessage:
    return WorkMessage(
        submission_id=UUID(state.submission_id),
        dispatch_id=UUID(state.dispatch_id),
        purpose=state.purpose,
        customer_id=UUID(state.customer_id),
    )
