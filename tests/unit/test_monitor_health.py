"""The score and the parts of the health answer, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from directorybolt.event.v1 import system_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.scheduler.v1 import scheduler_service_pb2
from directorybolt.submitter.v1 import submitter_service_pb2
from hypothesis import given
from hypothesis import strategies as st

from eventstore.following.standing import Holder, Pause, Standing, State
from services.domain.attempts import duration
from services.monitor import health
from services.monitor.health import DEGRADED, HEALTHY, UNHEALTHY
from services.projections.partitions import Room

if TYPE_CHECKING:
    from collections.abc import Sequence

CRITICAL, WARNING = system_events_pb2.SEVERITY_CRITICAL, system_events_pb2.SEVERITY_WARNING
STATES = [HEALTHY, DEGRADED, UNHEALTHY]
PAUSE = Pause(0, 0, 11, 5, "ValueError: no", datetime(2026, 1, 2, tzinfo=UTC))
STANDING = Standing(
    name="jobs",
    version=1,
    state=State.RUNNING,
    head={0: 10},
    checkpoint={0: 10},
    lag_seconds=0.5,
    rate=100.0,
    partitions_count=1,
    unheld_count=0,
    holders=[Holder("host:1", 1, 15.0)],
    standby_count=0,
    pauses=[],
    parked_count=0,
    skipped_count=0,
    passed_over_count=0,
    rebuilt=None,
)


def parts(*states: pb.HealthState.ValueType) -> Sequence[pb.HealthPart]:
    return [pb.HealthPart(part=str(number), state=state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("states", "alerts", "score"),
    [
        ([], {}, 100),
        ([HEALTHY, HEALTHY], {}, 100),
        ([DEGRADED], {}, 90),
        ([UNHEALTHY, DEGRADED], {}, 65),
        ([HEALTHY], {WARNING: 50}, 100),
        ([HEALTHY], {CRITICAL: 1}, 95),
        ([HEALTHY], {CRITICAL: 40}, 80),
        ([UNHEALTHY] * 9, {CRITICAL: 40}, 0),
    ],
)
def test_the_score_is_what_the_page_says(
    states: list[pb.HealthState.ValueType], alerts: dict[int, int], score: int
) -> None:
    assert health.score(parts(*states), alerts) == score


@given(st.lists(st.sampled_from(STATES)), st.sampled_from([DEGRADED, UNHEALTHY]), st.integers(0, 9))
def test_one_more_trouble_never_raises_the_score(
    states: list[pb.HealthState.ValueType], trouble: pb.HealthState.ValueType, critical: int
) -> None:
    before = health.score(parts(*states), {CRITICAL: critical})

    assert 0 <= health.score(parts(*states, trouble), {CRITICAL: critical}) <= before <= 100
    assert health.score(parts(*states), {CRITICAL: critical + 1}) <= before


def test_the_whole_is_as_well_as_its_worst_part() -> None:
    assert health.worst(parts(HEALTHY, UNHEALTHY, DEGRADED)) == UNHEALTHY
    assert health.worst(parts(HEALTHY, DEGRADED)) == DEGRADED
    assert health.worst([]) == HEALTHY


@pytest.mark.parametrize(
    ("behind", "changes", "state"),
    [
        (0, {}, HEALTHY),
        (1_000, {}, HEALTHY),
        (1_001, {}, DEGRADED),
        (100_001, {}, UNHEALTHY),
        (1, {"state": State.PAUSED, "pauses": [PAUSE]}, UNHEALTHY),
        (0, {"parked_count": 1}, DEGRADED),
        (1, {"state": State.UNHELD, "lag_seconds": 29.0}, HEALTHY),
        (1, {"state": State.UNHELD, "lag_seconds": 31.0}, DEGRADED),
        (1, {"state": State.WAITING, "lag_seconds": 31.0}, HEALTHY),
    ],
)
def test_a_read_model_that_is_far_behind_or_does_not_move_needs_a_look(
    behind: int, changes: dict[str, Any], state: pb.HealthState.ValueType
) -> None:
    part = health.projection_part(replace(STANDING, head={0: 10 + behind}, **changes))

    assert (part.part, part.state) == ("projection/jobs", state)
    assert part.detail.startswith("jobs is up to date" if not behind else f"jobs is {behind:,} events")


def test_nobody_working_is_unhealthy_and_somebody_is_fine() -> None:
    worker = submitter_service_pb2.Worker(busy=1, slots=2)

    assert health.worker_part([]).state == UNHEALTHY
    assert health.worker_part([worker, worker]).detail == "2 alive, 2 of 4 slots busy"


@pytest.mark.parametrize(
    ("state", "busy", "free"),
    [
        (submitter_service_pb2.WORKER_STATE_RUNNING, 1, 2),
        (submitter_service_pb2.WORKER_STATE_RUNNING, 5, 0),
        (submitter_service_pb2.WORKER_STATE_DRAINING, 0, 0),
    ],
)
def test_a_worker_that_takes_no_more_has_no_free_slot(
    state: submitter_service_pb2.WorkerState.ValueType, busy: int, free: int
) -> None:
    assert health.slots_free(submitter_service_pb2.Worker(state=state, busy=busy, slots=3)) == free


def test_work_that_waits_for_long_needs_a_look() -> None:
    queue = scheduler_service_pb2.Queue(name="queues/p1", waiting=3)
    queue.oldest_waiting_age.CopyFrom(duration(timedelta(seconds=601)))

    assert health.queue_part(queue).state == DEGRADED
    assert health.queue_part(scheduler_service_pb2.Queue(name="queues/p1")).state == HEALTHY


def test_a_log_without_room_ahead_is_unhealthy_and_says_which() -> None:
    part = health.log_part([Room("event", 0), Room("pulse", 1)])

    assert (part.state, part.detail) == (UNHEALTHY, "no partition ahead: event")
    assert health.log_part([Room("event", 1), Room("pulse", 1)]).state == HEALTHY


def test_only_critical_alerts_trouble_the_mesh() -> None:
    assert health.alert_part({WARNING: 3}).state == HEALTHY
    assert health.alert_part({WARNING: 3, CRITICAL: 1}).state == DEGRADED
    assert health.alert_part({WARNING: 3, CRITICAL: 1}).detail == "4 open, 1 of them critical"
