"""A machine whose wall clock is wrong: what it plans, it plans by the store's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from directorybolt.event.v1 import system_events_pb2

from eventstore.memory import MemoryEventStore
from eventstore.types import ANY_VERSION
from services.domain import events, identity
from services.runtime.clock import StoreClock
from services.runtime.ledger import Ledger, Stream
from tests.doubles.manual_clock import ManualClock

STORE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
WRONG_BY = [timedelta(minutes=-10), timedelta(minutes=10)]


@pytest.mark.parametrize("wrong_by", WRONG_BY)
async def test_a_wrong_wall_clock_is_put_right_by_the_first_append(wrong_by: timedelta) -> None:
    machine = ManualClock(STORE_TIME + wrong_by)
    clock = StoreClock(machine)
    store = MemoryEventStore(lambda: STORE_TIME + timedelta(seconds=machine.monotonic()))
    ledger = Ledger(store, "worker/a", clock.heard)
    stream = Stream(identity.worker_stream(str(uuid4())), events.WORKER)

    await ledger.append(stream, [system_events_pb2.WorkerStarted(worker_id="a")], ANY_VERSION)
    await machine.advance(30)

    assert clock.now() == STORE_TIME + timedelta(seconds=30)


async def test_an_answer_that_comes_late_does_not_turn_the_clock_back() -> None:
    machine = ManualClock(STORE_TIME)
    clock = StoreClock(machine)
    clock.heard(STORE_TIME + timedelta(hours=1))
    await machine.advance(60)

    clock.heard(STORE_TIME + timedelta(hours=1))

    assert clock.now() == STORE_TIME + timedelta(hours=1, seconds=60)


def test_until_the_store_has_answered_the_time_is_the_machines() -> None:
    assert StoreClock(ManualClock(STORE_TIME)).now() == STORE_TIME
