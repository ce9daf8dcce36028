"""The work queue in a dictionary: same port, same promises; duplicates and order are the test's to choose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from services.runtime.queue import DEAD_QUEUES, RECEIPTS_MAX, WORK_QUEUES, Depth, Received, dead_queue_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from services.runtime.clock import Clock
    from services.runtime.queue import QueueName, WorkMessage


@dataclass(slots=True)
class _Held:
    body: str
    sent_at: datetime
    trace_parent: str
    message_id: str = field(default_factory=lambda: str(uuid4()))
    visible_at: float = 0.0
    receive_count: int = 0
    receipt: str = ""


class MemoryQueue:
    """A work queue that lives as long as the process.

    `copies` sends every message so many times under one id; `newest_first` turns the order round.
    """

    def __init__(self, clock: Clock, *, copies: int = 1, newest_first: bool = False) -> None:
        self.copies = copies
        self.newest_first = newest_first
        self._clock = clock
        self._queues: dict[QueueName, list[_Held]] = {each: [] for each in (*WORK_QUEUES, *DEAD_QUEUES)}
        self._changed = asyncio.Event()

    async def ensure_queues(self) -> None:
        """Do nothing: the queues are there."""

    async def send(self, queue: QueueName, message: WorkMessage, *, trace_parent: str = "") -> str:
        """Put a message in, as often as `copies` says."""
        return self.put(queue, message.to_body(), trace_parent=trace_parent)

    def put(self, queue: QueueName, body: str, *, trace_parent: str = "") -> str:
        """Put any body in, also one that cannot be read."""
        message_id = str(uuid4())
        for _ in range(self.copies):
            self._queues[queue].append(_Held(body, self._clock.now(), trace_parent, message_id))
        self._changed.set()
        return message_id

    async def receive(
        self, queue: QueueName, *, limit: int, wait_seconds: float, visibility_seconds: float
    ) -> Sequence[Received]:
        """Take up to `limit` messages; wait for the first one."""
        until = self._clock.monotonic() + wait_seconds
        while True:
            self._changed.clear()
            taken = self._take(queue, limit, visibility_seconds)
            remaining = until - self._clock.monotonic()
            if taken or remaining <= 0:
                return taken
            await self._wait(min(remaining, self._until_next_visible(queue, remaining)))

    async def delete(self, received: Received) -> None:
        """Remove the message, if the receipt is its latest."""
        held = self._find(received)
        if held is not None:
            self._queues[received.queue].remove(held)

    async def change_visibility(self, received: Received, seconds: float) -> None:
        """Hold the message, if the receipt is its latest."""
        held = self._find(received)
        if held is not None:
            held.visible_at = self._clock.monotonic() + seconds
            self._changed.set()

    async def depth(self, queue: QueueName) -> Depth:
        """Count the messages."""
        now = self._clock.monotonic()
        visible = sum(each.visible_at <= now for each in self._queues[queue])
        return Depth(visible=visible, in_flight=len(self._queues[queue]) - visible, delayed=0)

    def _take(self, queue: QueueName, limit: int, visibility_seconds: float) -> list[Received]:
        now = self._clock.monotonic()
        self._bury(queue, now)
        ready = [each for each in self._queues[queue] if each.visible_at <= now]
        if self.newest_first:
            ready.reverse()
        return [_hand_out(queue, each, now + visibility_seconds) for each in ready[:limit]]

    def _bury(self, queue: QueueName, now: float) -> None:
        if queue not in WORK_QUEUES:
            return
        given_up = [e for e in self._queues[queue] if e.visible_at <= now and e.receive_count >= RECEIPTS_MAX]
        for each in given_up:
            self._queues[queue].remove(each)
            self._queues[dead_queue_of(queue)].append(each)

    def _find(self, received: Received) -> _Held | None:
        return next((e for e in self._queues[received.queue] if e.receipt == received.receipt), None)

    def _until_next_visible(self, queue: QueueName, default: float) -> float:
        now = self._clock.monotonic()
        return min((each.visible_at - now for each in self._queues[queue]), default=default)

    async def _wait(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        changing = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleeping, changing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            changing.cancel()


def _hand_out(queue: QueueName, held: _Held, visible_at: float) -> Received:
    held.visible_at = visible_at
    held.receive_count += 1
    held.receipt = str(uuid4())
    return Received(
        queue=queue,
        message_id=held.message_id,
        body=held.body,
        receipt=held.receipt,
        receive_count=held.receive_count,
        sent_at=held.sent_at,
        trace_parent=held.trace_parent,
    )
