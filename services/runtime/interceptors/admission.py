"""Take no more calls than the process can serve, and none once it drains.

Streams are counted apart: they are long and idle, and must not crowd out the short calls. When the process
drains, streams are ended with DRAINING, so that their clients go on elsewhere from their last position.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from services.domain.errors import Draining, Overloaded
from services.runtime.access import is_open

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.runtime.interceptors.layer import Call

CALLS_MAX = 256
STREAMS_MAX = 1_024
RETRY_AFTER_SECONDS = 0.5
LAST_CALLS_SECONDS = 5.0


class Admission:
    """Counts calls under way; health and reflection are always let in."""

    def __init__(self, *, calls_max: int = CALLS_MAX, streams_max: int = STREAMS_MAX) -> None:
        self.calls: set[asyncio.Task[Any]] = set()
        self.streams: set[asyncio.Task[Any]] = set()
        self._calls_max = calls_max
        self._streams_max = streams_max
        self._draining = False

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Run the call if there is room.

        Errors: Overloaded when there is none; Draining when the process is about to end.
        """
        task = asyncio.current_task()
        if task is None or is_open(call.method):
            yield
            return
        under_way = self._let_in(call)
        under_way.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if call.streams and self._draining and task.uncancel() == 0 and not call.context.cancelled():
                raise Draining from None
            raise
        finally:
            under_way.discard(task)

    def drain(self) -> None:
        """End the streams, and let nobody in any more."""
        self._draining = True
        for task in self.streams:
            task.cancel()

    async def emptied(self) -> None:
        """Return when every call has run to its end; `stop` of a server may return before.

        A handler that will not end when it is cancelled is left behind after five seconds.
        """
        under_way = self.calls | self.streams
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_CALLS_SECONDS)

    def _let_in(self, call: Call) -> set[asyncio.Task[Any]]:
        if self._draining:
            raise Draining
        under_way, most = (self.streams, self._streams_max) if call.streams else (self.calls, self._calls_max)
        if len(under_way) >= most:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)
        return under_way
