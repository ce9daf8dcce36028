"""What the sites have seen since the last reset, and a way to wait for it.

Tests wait here for "the form was served" or "the POST was accepted" instead of sleeping.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from enum import StrEnum


class Event(StrEnum):
    """What a site announces."""

    FORM_REQUESTED = "form_requested"  #: the form page was asked for
    FORM_SERVED = "form_served"  #: the form page was sent whole, with status 200
    STEP_RECEIVED = "step_received"  #: a POST arrived that is not the last one of its form
    POST_RECEIVED = "post_received"  #: the POST arrived that makes a listing if all is well
    ACCEPTED = "accepted"  #: the POST was written to storage
    ANSWERED = "answered"  #: the answer to a POST was sent whole
    HELD = "held"  #: a fault holds a request
    TRAPPED = "trapped"  #: a field that no person can see was filled in


class Signals:
    """Counters per site, and waits on them."""

    def __init__(self) -> None:
        self._events: Counter[tuple[str, Event]] = Counter()
        self._hits: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._changed = asyncio.Event()
        self._closed = False

    def note(self, site: str, event: Event) -> None:
        """Counts an event and wakes who waits."""
        self._events[site, event] += 1
        self._wake()

    def hit(self, site: str, kind: str) -> None:
        """Counts a request; the kind is method and page, such as "GET form"."""
        self._hits[site][kind] += 1

    def count(self, site: str, event: Event) -> int:
        """How often a site has announced an event."""
        return self._events[site, event]

    def events(self, site: str) -> dict[str, int]:
        """All events of a site with their counts; events not seen are 0."""
        return {event.value: self._events[site, event] for event in Event}

    def hits(self, site: str) -> dict[str, int]:
        """Requests of a site by kind."""
        return dict(self._hits[site])

    async def reached(self, site: str, event: Event, count: int, timeout_seconds: float) -> bool:
        """Waits until an event was seen `count` times; False when time or server ends first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._events[site, event] < count and not self._closed:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self._events[site, event] >= count

    def clear(self) -> None:
        """Forgets everything; who waits goes on waiting."""
        self._events.clear()
        self._hits.clear()

    def close(self) -> None:
        """Ends every wait, so that the server can stop."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
