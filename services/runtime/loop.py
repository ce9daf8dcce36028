"""A background loop: runs one round after another, can be woken, drained and stopped, and heals itself.

A round says whether more work waits, so that a backlog is worked off without pauses. Tests await
`signals.ran` instead of sleeping.

Source: the test signals of River's maintenance services.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.runtime.clock import Clock

_BACKOFF_FIRST_SECONDS = 0.2
_JITTER = 0.1

_log = structlog.stdlib.get_logger(__name__)


class Signal:
    """Something that happens again and again, and that a test can wait for."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Condition()

    async def announce(self) -> None:
        """Count it and wake everybody who waits."""
        async with self._changed:
            self.count += 1
            self._changed.notify_all()

    async def reached(self, count: int) -> None:
        """Return when it has happened `count` times since the beginning."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.count >= count)

    async def next(self) -> None:
        """Return when it has happened once more."""
        await self.reached(self.count + 1)


class LoopSignals:
    """What a loop announces."""

    def __init__(self) -> None:
        self.ran = Signal()
        self.failed = Signal()


class Loop:
    """Runs `run_once` every `interval_seconds`, sooner when woken or when it returned True."""

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[bool]],
        *,
        interval_seconds: float,
        clock: Clock,
        backoff_max_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self.signals = LoopSignals()
        self.failures_in_a_row = 0
        self._run_once = run_once
        self._interval_seconds = interval_seconds
        self._backoff_max_seconds = backoff_max_seconds
        self._clock = clock
        self._woken = asyncio.Event()
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with the first round at once."""
        self._draining = False
        self._task = asyncio.create_task(self._run(), name=f"loop {self.name}")

    def wake(self) -> None:
        """Run the next round without waiting for the interval."""
        self._woken.set()

    async def drain(self) -> None:
        """Let the round under way finish, then end."""
        self._draining = True
        self.wake()
        if self._task is not None:
            await asyncio.wait({self._task})
            self._task = None

    async def stop(self) -> None:
        """Break off the round under way and end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while not self._draining:
            self._woken.clear()
            pause_seconds = await self._round()
            if pause_seconds > 0 and not self._draining:
                await self._pause(pause_seconds)

    async def _round(self) -> float:
        try:
            more = await self._run_once()
        except Exception as error:  # noqa: BLE001  # a loop outlives whatever a round does
            return await self._after_failure(error)
        self.failures_in_a_row = 0
        await self.signals.ran.announce()
        return 0.0 if more else self._interval_seconds * _spread()

    async def _after_failure(self, error: Exception) -> float:
        pause_seconds = min(self._backoff_max_seconds, _BACKOFF_FIRST_SECONDS * 2.0**self.failures_in_a_row)
        self.failures_in_a_row = min(self.failures_in_a_row + 1, 30)
        _log.error(
            "loop.round_failed", loop=self.name, retry_in_seconds=round(pause_seconds, 2), exc_info=error
        )
        await self.signals.failed.announce()
        return pause_seconds * _spread()

    async def _pause(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()


def _spread() -> float:
    return random.uniform(1.0 - _JITTER, 1.0 + _JITTER)  # noqa: S311  # spreads load, keeps no secret
