"""A broken read model is begun again, later and later, and never keeps a process from ending."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from services.runtime.projecting import projecting
from tests.doubles.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.following.projector import Projector


class BreakingProjector:
    """Breaks so many times, then runs until it is stopped."""

    def __init__(self, breaks: int, clock: ManualClock) -> None:
        self.projection = SimpleNamespace(name="breaking")
        self.began_at: list[float] = []
        self.runs = asyncio.Event()
        self._breaks = breaks
        self._clock = clock
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Break, or run."""
        self.began_at.append(self._clock.monotonic())
        if len(self.began_at) <= self._breaks:
            raise ValueError("an event that does not decode")
        self.runs.set()
        await self._stopping.wait()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()


def as_projectors(*doubles: BreakingProjector) -> Sequence[Projector]:
    """Pass doubles off as what they stand for."""
    return cast("Sequence[Projector]", doubles)


async def test_a_projector_that_breaks_is_begun_again_after_growing_pauses() -> None:
    clock = ManualClock()
    broken, sound = BreakingProjector(8, clock), BreakingProjector(0, clock)
    async with projecting(as_projectors(broken, sound), clock):
        await sound.runs.wait()
        for seconds in (0.5, 1, 2, 4, 8, 16, 30, 30):
            await clock.somebody_sleeps()
            await clock.advance(seconds)
        await broken.runs.wait()
    pauses = [after - before for before, after in pairwise(broken.began_at)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_a_process_ends_though_a_projector_waits_to_begin_again() -> None:
    clock = ManualClock()
    broken = BreakingProjector(1_000, clock)
    async with asyncio.timeout(3), projecting(as_projectors(broken), clock):
        await clock.somebody_sleeps()
    assert broken.began_at == [0.0]
