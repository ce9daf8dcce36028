"""A clock that stands still until a test turns it."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count


class ManualClock:
    """Time moves only by `advance`; sleepers whose time has come go on, in order."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_seconds = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._slept = asyncio.Event()

    def now(self) -> datetime:
        """Return the wall time of the test."""
        return self._start + timedelta(seconds=self._elapsed_seconds)

    def monotonic(self) -> float:
        """Return the seconds that the test has let pass."""
        return self._elapsed_seconds

    async def sleep(self, seconds: float) -> None:
        """Return once the test has let so many seconds pass."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_seconds + seconds, next(self._order), woken))
        self._slept.set()
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, and give whoever it wakes a turn."""
        until = self._elapsed_seconds + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, woken = heapq.heappop(self._sleepers)
            self._elapsed_seconds = max(self._elapsed_seconds, due)
            if not woken.done():
                woken.set_result(None)
                await asyncio.sleep(0)
        self._elapsed_seconds = until
        await asyncio.sleep(0)

    async def somebody_sleeps(self) -> None:
        """Return when somebody waits for this clock."""
        while not any(not woken.done() for _, _, woken in self._sleepers):
            self._slept.clear()
            await self._slept.wait()
