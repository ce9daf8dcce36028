"""Takes locks in short tries: nobody queues for long behind whoever waits for an exclusive one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, LiteralString, TypeVar

from psycopg.errors import DeadlockDetected, LockNotAvailable

from eventstore.connections import backoff
from eventstore.rebuild.errors import SwapTimedOut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

#: How long one try waits for its locks, and with it whoever comes after it.
LOCK_MILLISECONDS_MAX: Final = 200
BRIEFLY: Final[LiteralString] = "select set_config('lock_timeout', %s, true)"


async def patiently(attempt: Callable[[], Awaitable[T]], patience_seconds: float) -> T:
    """Try again while somebody else holds what an attempt wants to lock.

    Errors: SwapTimedOut after `patience_seconds`.
    """
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + patience_seconds
    async for pause_seconds in backoff(first_seconds=0.05):
        try:
            return await attempt()
        except (LockNotAvailable, DeadlockDetected):
            if clock() + pause_seconds > give_up_at:
                raise SwapTimedOut from None
        await asyncio.sleep(pause_seconds)
    raise AssertionError("backoff never ends")
