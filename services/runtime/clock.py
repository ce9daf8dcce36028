"""The only place that reads time; everybody else is handed a Clock, so that tests can turn it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
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


def _seconds() -> float:
    # Linux stops CLOCK_MONOTONIC while the machine is suspended: a permit would outlive its record.
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)
