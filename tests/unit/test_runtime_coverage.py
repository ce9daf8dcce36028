"""Coverage: a timeout is judged only as far as the read model surely is, and not right after an outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.runtime.coverage import OUTAGE_SECONDS, Coverage, Snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)


class TurnedClock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return the turned time."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the turned seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Turn the clock."""
        self.seconds += seconds


def look(coverage: Coverage, clock: TurnedClock, *, head: int, checkpoint: int) -> datetime | None:
    return coverage.look(Snapshot(clock.now(), {0: head}, {0: checkpoint}))


def test_nothing_is_covered_while_the_read_model_is_behind() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)

    assert look(coverage, clock, head=10, checkpoint=9) is None


def test_under_steady_traffic_the_covered_time_follows_although_the_head_is_always_ahead() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)
    covered = None
    for second in range(30):
        clock.seconds = float(second)
        covered = look(coverage, clock, head=second * 10 + 5, checkpoint=second * 10)

    assert covered == START + timedelta(seconds=28)
    assert coverage.grants(timedelta(seconds=20))


def test_after_an_outage_a_timeout_waits_its_own_length_again() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)
    for second in range(30):
        clock.seconds = float(second)
        look(coverage, clock, head=1, checkpoint=1)
    assert coverage.grants(timedelta(seconds=20))

    clock.seconds = 29 + OUTAGE_SECONDS + 1
    look(coverage, clock, head=1, checkpoint=1)

    assert not coverage.grants(timedelta(seconds=1))


def test_a_lost_connection_begins_the_grace_anew() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)
    look(coverage, clock, head=1, checkpoint=1)
    assert coverage.grants(timedelta(0))

    coverage.lose()

    assert not coverage.grants(timedelta(0))


def test_a_growing_lag_is_an_outage_of_our_own() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)
    for second in range(int(OUTAGE_SECONDS) + 5):
        clock.seconds = float(second)
        look(coverage, clock, head=100 + second, checkpoint=100)

    assert not coverage.grants(timedelta(seconds=1))


def test_a_read_model_that_falls_back_is_an_outage_until_it_is_built_again() -> None:
    clock = TurnedClock()
    coverage = Coverage(clock)
    for second in range(30):
        clock.seconds = float(second)
        look(coverage, clock, head=50, checkpoint=50)
    assert coverage.grants(timedelta(seconds=20))

    assert look(coverage, clock, head=50, checkpoint=3) is None
    assert not coverage.grants(timedelta(0))

    clock.seconds = 30.0
    assert look(coverage, clock, head=50, checkpoint=50) is not None
    assert coverage.grants(timedelta(0))
    assert not coverage.grants(timedelta(seconds=1))
