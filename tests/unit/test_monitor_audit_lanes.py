"""The auditor's way through a ledger of several lanes: all of it, each lane in order, from any position."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from directorybolt.event.v1 import job_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1 import state_as_of_pb2

from eventstore.memory import MemoryEventStore
from eventstore.types import Position
from services.domain import events
from services.domain.errors import JobNotFound, PositionBeyondEnd
from services.monitor.audit import Audit
from services.monitor.state_as_of import StateAsOf
from services.runtime.clock import SystemClock
from services.runtime.ledger import Ledger, Stream
from services.runtime.tokens import TokenSealer
from tests.fix_events import wall_time
from tests.several_lanes import LANES, tenant_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from directorybolt.event.v1 import event_pb2

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SEALER = TokenSealer(b"k" * 32, SystemClock())


async def append(store: MemoryEventStore, lane: int) -> None:
    """Append an event for a new customer of a lane."""
    stream = Stream(uuid4(), events.JOB, tenant_in(lane))
    await Ledger(store, "test").append(stream, [job_events_pb2.JobCancelRequested(job_id=str(uuid4()))], -1)


class Forgetful:
    """Records no reads: what these tests read is all that there is."""

    async def record(self, method: str, scope: str, events_count: int) -> None:
        """Do nothing."""


def audit(store: MemoryEventStore) -> Audit:
    """Return the auditor's way into a store."""
    return Audit(store, SEALER, cast("Any", Forgetful()))


async def a_ledger() -> MemoryEventStore:
    """Return a ledger with events in every lane, unevenly."""
    store = MemoryEventStore(wall_time, lanes=LANES)
    for lane in (0, 1, 1, 2, 0, 2, 2, 2, 0, 1, 2):
        await append(store, lane)
    return store


async def read(store: MemoryEventStore, after: str = "") -> Sequence[event_pb2.Event]:
    """Return what an auditor reads after a position."""
    request = pb.ReadAllRequest(after_position=after)
    return [each.event async for each in audit(store).all(request)]


def places(read_events: Sequence[event_pb2.Event]) -> list[Position]:
    """Return where events stand."""
    return [SEALER.read_position(each.position, field="position")[0] for each in read_events]


async def test_every_lane_is_read_to_its_head_and_in_order() -> None:
    found = places(await read(await a_ledger()))

    by_lane = {lane: [each.number for each in found if each.lane == lane] for lane in range(LANES)}
    assert by_lane == {0: [1, 2, 3], 1: [1, 2, 3], 2: [1, 2, 3, 4, 5]}


async def test_from_the_position_of_any_event_exactly_the_rest_is_read() -> None:
    store = await a_ledger()
    whole = await read(store)

    for place, each in enumerate(whole, 1):
        rest = await read(store, each.position)
        assert [one.event_id for one in rest] == [one.event_id for one in whole[place:]]


async def test_who_follows_hears_of_every_lane() -> None:
    store = await a_ledger()
    heard: list[int] = []

    async with (
        asyncio.timeout(10),
        aclosing(audit(store).all(pb.ReadAllRequest(follow=True))) as following,
    ):
        for _ in range(11):
            await anext(following)
        for lane in (2, 0, 1):
            await append(store, lane)
            heard.append(places([(await anext(following)).event])[0].lane)

    assert heard == [2, 0, 1]


async def test_a_position_beyond_the_end_of_its_lane_is_refused() -> None:
    store = await a_ledger()
    beyond = SEALER.position_token(Position(0, 3), Position(1, 4))

    with pytest.raises(PositionBeyondEnd):
        await read(store, beyond)


async def state_at(store: MemoryEventStore, job_id: UUID, *places: Position) -> int:
    """Return the version that a job had at a place of the ledger."""
    request = state_as_of_pb2.GetStateAsOfRequest(
        name=f"jobs/{job_id}", as_of_position=SEALER.position_token(*places)
    )
    return (await StateAsOf(store, SEALER).explain(request)).state.version


async def test_a_place_in_another_lane_is_the_moment_at_which_it_was_recorded() -> None:
    seconds = count()
    store = MemoryEventStore(lambda: NOON + timedelta(seconds=next(seconds)), lanes=LANES)
    job = Stream(uuid4(), events.JOB, tenant_in(2))
    ledger = Ledger(store, "test")
    asked = job_events_pb2.JobCancelRequested(job_id=str(job.stream_id))

    await append(store, 2)
    await ledger.append(job, [asked], 0)
    await append(store, 0)
    await ledger.append(job, [asked], 1)
    await append(store, 0)

    assert await state_at(store, job.stream_id, Position(0, 1)) == 1
    assert await state_at(store, job.stream_id, Position(0, 2)) == 2
    assert await state_at(store, job.stream_id, Position(0, 2), Position(2, 2)) == 1
    with pytest.raises(JobNotFound):
        await state_at(store, job.stream_id, Position(2, 1))
