"""The loop that empties the dead-letter queues: body stored, event appended, then deleted.

What lands there never reached a claim: unreadable, foreign, or deadly to every consumer before it. A depth
that stays above zero means that this loop is down, which is what the CloudWatch alarm says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.event.v1 import system_events_pb2 as facts

from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.runtime.ledger import Stream
from services.runtime.queue import BATCH_MAX, DEAD_QUEUES, UnreadableMessage

if TYPE_CHECKING:
    from services.runtime.ledger import Ledger
    from services.runtime.queue import QueueName, Received, WorkQueue

BODY_BYTES_MAX: Final = 65_536
#: Far longer than storing a batch takes; a collector that died gives its messages back after it.
VISIBILITY_SECONDS: Final = 60.0

_log = structlog.stdlib.get_logger(__name__)


class DeadLetterCollector:
    """Moves dead letters from the queues into the log."""

    def __init__(
        self, ledger: Ledger, queue: WorkQueue, *, visibility_seconds: float = VISIBILITY_SECONDS
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._visibility_seconds = visibility_seconds

    async def run_once(self) -> bool:
        """Take what is there; True when there may be more."""
        full = False
        for name in DEAD_QUEUES:
            found = await self._queue.receive(
                name, limit=BATCH_MAX, wait_seconds=0, visibility_seconds=self._visibility_seconds
            )
            for received in found:
                await self._store(name, received)
                await self._queue.delete(received)
            full = full or len(found) == BATCH_MAX
        return full

    async def _store(self, name: QueueName, received: Received) -> None:
        fact = facts.DeadLetterFound(
            queue=name,
            message_id=received.message_id,
            body=received.body.encode()[:BODY_BYTES_MAX],
            submission_id=_submission_of(received),
            receive_count=received.receive_count,
        )
        # A message that is seen again before its deletion took hold has the same event id: one event.
        event_id = identity.event_id_for("dead_letter", name, received.message_id)
        stream = Stream(identity.queue_stream(name), events.QUEUE)
        await self._ledger.append(stream, [fact], ANY_VERSION, event_ids=[event_id])
        _log.error("dead_letter_found", queue=name, message_id=received.message_id)


def _submission_of(received: Received) -> str:
    try:
        return str(received.work().submission_id)
    except UnreadableMessage:
        return ""
