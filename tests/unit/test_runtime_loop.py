"""A background loop runs, wakes, heals, drains and stops."""

from __future__ import annotations

import asyncio

import pytest

from services.runtime.clock import SystemClock
from services.runtime.loop import Loop
from tests.doubles.manual_clock import ManualClock


class _Rounds:
    """Counts rounds; can fail, can say that more work waits, can be held up."""

    def __init__(self, *, more: int = 0, failures: int = 0) -> None:
        self.count = 0
        self.finished = 0
        self.entered = asyncio.Event()
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self._more = more
        self._failures = failures

    async def __call__(self) -> bool:
        self.count += 1
        self.entered.set()
        await self.open_gate.wait()
        if self.count <= self._failures:
            raise RuntimeError("the round failed")
        self.finished += 1
        return self.count <= self._more


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_loop_runs_at_once_and_again_after_its_interval(clock: ManualClock) -> None:
    rounds = _Rounds()
    loop = Loop("test", rounds, interval_seconds=10, clock=clock)
    await loop.start()
    await loop.signals.ran.reached(1)
    await clock.somebody_sleeps()
    await clock.advance(11.1)
    await loop.signals.ran.reached(2)
    await loop.stop()
    assert rounds.count == 2


async def test_a_loop_does_not_run_before_its_interval_less_the_jitter(clock: ManualClock) -> None:
    rounds = _Rounds()
    loop = Loop("test", rounds, interval_seconds=10, clock=clock)
    await loop.start()
    await clock.somebody_sleeps()
    await clock.advance(8.9)
    assert rounds.count == 1
    await loop.stop()


async def test_waking_a_loop_spares_the_interval() -> None:
    rounds = _Rounds()
    loop = Loop("test", rounds, interval_seconds=3_600, clock=SystemClock())
    await loop.start()
    await loop.signals.ran.reached(1)
    loop.wake()
    await loop.signals.ran.reached(2)
    await loop.stop()
    assert rounds.count == 2


async def test_a_wake_during_a_round_is_not_lost() -> None:
    rounds = _Rounds()
    rounds.open_gate.clear()
    loop = Loop("test", rounds, interval_seconds=3_600, clock=SystemClock())
    await loop.start()
    await rounds.entered.wait()
    loop.wake()
    rounds.open_gate.set()
    await loop.signals.ran.reached(2)
    await loop.stop()


async def test_a_backlog_is_worked_off_without_pauses(clock: ManualClock) -> None:
    rounds = _Rounds(more=5)
    loop = Loop("test", rounds, interval_seconds=10, clock=clock)
    await loop.start()
    await loop.signals.ran.reached(6)
    await loop.stop()
    assert clock.monotonic() == 0.0


async def test_a_failing_round_is_tried_again_and_later_each_time(clock: ManualClock) -> None:
    rounds = _Rounds(failures=3)
    loop = Loop("test", rounds, interval_seconds=10, clock=clock)
    await loop.start()
    for failure, pause in enumerate((0.2, 0.4, 0.8), start=1):
        await loop.signals.failed.reached(failure)
        await clock.somebody_sleeps()
        await clock.advance(pause * 0.85)
        assert rounds.count == failure
        await clock.advance(pause * 0.3)
    await loop.signals.ran.reached(1)
    assert loop.failures_in_a_row == 0
    await loop.stop()


async def test_draining_lets_the_round_finish() -> None:
    rounds = _Rounds()
    rounds.open_gate.clear()
    loop = Loop("test", rounds, interval_seconds=10, clock=SystemClock())
    await loop.start()
    await rounds.entered.wait()
    draining = asyncio.create_task(loop.drain())
    await asyncio.sleep(0)
    rounds.open_gate.set()
    await draining
    assert rounds.finished == 1


async def test_stopping_breaks_the_round_off() -> None:
    rounds = _Rounds()
    rounds.open_gate.clear()
    loop = Loop("test", rounds, interval_seconds=10, clock=SystemClock())
    await loop.start()
    await rounds.entered.wait()
    await loop.stop()
    assert rounds.finished == 0


async def test_draining_a_loop_that_never_started_returns() -> None:
    loop = Loop("test", _Rounds(), interval_seconds=10, clock=SystemClock())
    await loop.drain()
    await loop.stop()
    assert loop.signals.ran.count == 0
