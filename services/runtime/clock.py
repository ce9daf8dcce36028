"""The only place that reads time; everybody else is handed a Clock, so that tests can turn it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations, and waiting."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from a fixed but unknown moment; it never runs backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; zero or less gives others a turn."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251  # this is the one place that may

    def monotonic(self) -> float:
        """Return seconds from a fixed but unknown moment; it never runs backwards."""
        return _seconds()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; zero or less gives others a turn."""
        await asyncio.sleep(max(0.0, seconds))


class StoreClock:
    """Wall time as the event store has it, on this machine's ticks: due times are judged by the store.

    A machine whose own wall clock is wrong would else plan its retries for the wrong time. Until the store
    has answered, the wall time is the machine's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_zero: datetime | None = None

    def heard(self, recorded_at: datetime) -> None:
        """Take the time at which the store recorded something, until now."""
        at_zero = recorded_at - timedelta(seconds=self._clock.monotonic())
        # Answers are late, some more than others: the one that was least late is nearest to the truth.
        self._at_zero = at_zero if self._at_zero is None else max(self._at_zero, at_zero)

    def now(self) -> datetime:
        """Return the store's wall time, aware, in UTC."""
        if self._at_zero is None:
            return self._clock.now()
        return self._at_zero + timedelta(seconds=self._clock.monotonic())

    def monotonic(self) -> float:
        """Return seconds from a fixed but unknown moment; it never runs backwards."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; zero or less gives others a turn."""
        await self._clock.sleep(seconds)


def _seconds() -> float:
    # Linux stops CLOCK_MONOTONIC while the machine is suspended: a permit would outlive its record.
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
