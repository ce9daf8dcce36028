"""The bell rings for news of any lane, once the read model has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from eventstore.memory import MemoryEventStore
from eventstore.types import Position
from services.scheduler.news_bell import NewsBell
from tests.fix_events import append_to, wall_time
from tests.several_lanes import LANES, tenant_in

if TYPE_CHECKING:
    from eventstore.following.projector import Projector


class SlowModel:
    """A read model that covers what it is told to."""

    def __init__(self) -> None:
        self.waited_for: list[Position] = []
        self.asked = asyncio.Event()
        self.covers = asyncio.Event()

    async def wait_until(self, position: Position, timeout_seconds: float) -> None:
        """Wait, and note for what."""
        del timeout_seconds
        self.waited_for.append(position)
        self.asked.set()
        await self.covers.wait()


class Woken:
    """A loop that counts how often it was woken."""

    def __init__(self) -> None:
        self.count = 0

    def wake(self) -> None:
        """Count."""
        self.count += 1


@pytest.mark.parametrize("lane", range(LANES))
async def test_news_of_any_lane_wake_the_loops_when_they_can_be_seen(lane: int) -> None:
    store, model, loop = MemoryEventStore(wall_time, lanes=LANES), SlowModel(), Woken()
    bell = NewsBell(store, cast("Projector", model), cast("Any", [loop]))
    ringing = asyncio.create_task(bell.run_once())
    await store.append(append_to(count=2, tenant=tenant_in(lane)))
    await model.asked.wait()
    assert loop.count == 0

    model.covers.set()
    await ringing

    assert (model.waited_for, loop.count) == ([Position(lane, 2)], 1)
    for other in range(LANES):
        await store.append(append_to(tenant=tenant_in(other)))
    await bell.run_once()
    assert loop.count == 2
