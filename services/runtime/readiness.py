"""Whether a process can do its work: asked again and again, and shown as its health."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from eventstore.errors import EventStoreError

if TYPE_CHECKING:
    from eventstore.store import EventStore

_ANSWERS_WITHIN_SECONDS: Final = 1.5


async def answers(store: EventStore) -> bool:
    """Return whether the event store answers in good time."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
            await store.head()
    except (EventStoreError, TimeoutError):
        return False
    return True
