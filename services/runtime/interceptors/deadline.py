"""No unary call runs for ever: one without a deadline gets ours, and all tell it to the calls they make."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from services.runtime.errors import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.runtime.clock import Clock
    from services.runtime.interceptors.layer import Call

DEFAULT_SECONDS = 30.0

_ends_at: ContextVar[float | None] = ContextVar("directorybolt_deadline", default=None)


def deadline_at() -> float | None:
    """Return the monotonic moment at which the call under way ends; None when it may go on for ever."""
    return _ends_at.get()


class ImposeDeadline:
    """Ends unary calls that came without a deadline; streams may go on for ever."""

    def __init__(self, clock: Clock, default_seconds: float = DEFAULT_SECONDS) -> None:
        self._clock = clock
        self._default_seconds = default_seconds

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Run the call until its deadline.

        Errors: DeadlinePassed after the default; a client's own deadline is kept by gRPC itself.
        """
        remaining = cast("float | None", call.context.time_remaining())
        imposed = self._default_seconds if remaining is None and not call.streams else None
        limit = imposed if remaining is None else remaining
        _ends_at.set(None if limit is None else self._clock.monotonic() + limit)
        timer = asyncio.timeout(imposed)
        try:
            async with timer:
                yield
        except TimeoutError:
            if timer.expired():
                raise DeadlinePassed from None
            raise
