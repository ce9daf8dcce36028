"""From cause to alert: silence is noticed, acted upon once, and over when something is heard again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import psycopg
import pytest
from directorybolt.event.v1 import submission_events_pb2, system_events_pb2

from eventstore.errors import InvalidAppend
from eventstore.types import NewEvent, StreamAppend
from services.domain import events, identity
from services.domain.alert import AlertState
from services.monitor import paused_projections
from services.monitor.paused_projections import PausedProjections
from services.runtime.ledger import Stream
from tests.doubles.peers import worker
from tests.fix_monitor import SHORT, TENANT, about, monitor_template, postgres_cluster, watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString
    from uuid import UUID

    from services.projections.alerts import AlertRow
    from tests.fix_monitor import Watch

__all__ = ["monitor_template", "postgres_cluster", "watch"]


async def execute(url: str, statement: LiteralString) -> None:
    """Execute as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


def of_rule(alerts: Sequence[AlertRow], rule: str) -> Sequence[AlertRow]:
    return [each for each in alerts if each.rule == rule]


async def test_a_dead_lettered_submission_raises_one_alert_that_says_what_and_since_when(
    watch: Watch,
) -> None:
    submission_id = await watch.dead_letter()

    [alert] = await watch.raised(watch.judge())

    assert (alert.rule, alert.subject) == ("dead_letter", f"submissions/{submission_id}")
    assert alert.severity == system_events_pb2.SEVERITY_CRITICAL
    folded = await watch.alert(alert.alert_id)
    assert (folded.state, folded.subject) == (AlertState.RAISED, alert.subject)
    assert folded.opened_at is not None
    assert folded.opened_at <= alert.raised_at


async def test_two_monitors_at_once_raise_one_alert(watch: Watch) -> None:
    for _ in range(5):
        await watch.dead_letter()

    alerts = await watch.raised(watch.judge(), watch.judge(), count=5)

    assert len(alerts) == 5
    for alert in alerts:
        history = await watch.ledger.history(alert.alert_id)
        assert [each.event_type for each in history] == ["AlertRaised"]


async def test_a_redrive_resolves_the_alert(watch: Watch) -> None:
    submission_id, judge = await watch.dead_letter(), watch.judge()
    await watch.raised(judge)

    redriven = submission_events_pb2.SubmissionRedriven(reason="the site is back")
    await watch.append(about(submission_id), redriven)
    [alert] = await watch.judged([judge], lambda alerts: alerts[0].state is AlertState.RESOLVED)

    assert alert.resolved_at is not None


async def test_a_submission_that_is_dead_lettered_again_raises_another_alert(watch: Watch) -> None:
    submission_id, judge = await watch.dead_letter(), watch.judge()
    await watch.raised(judge)

    await watch.dead_letter(submission_id)
    newer, older = await watch.judged(
        [judge], lambda alerts: len(alerts) == 2 and alerts[1].state is AlertState.RESOLVED
    )

    assert newer.alert_id != older.alert_id
    assert newer.state is AlertState.RAISED


async def test_an_alert_that_a_person_resolved_is_not_raised_again_for_the_same_cause(watch: Watch) -> None:
    await watch.dead_letter()
    judge = watch.judge()
    [alert] = await watch.raised(judge)
    await watch.judge_desk().resolve(alert.alert_id, "person")
    await watch.caught_up()

    for _ in range(3):
        await judge.run_once()

    [after] = await watch.alerts()
    assert after.state is AlertState.RESOLVED


async def test_a_silent_attempt_loses_its_lease_through_the_scheduler_and_is_alerted(watch: Watch) -> None:
    submission_id = uuid4()
    version = await watch.claim(submission_id)

    alerts = await watch.raised(watch.judge())

    assert of_rule(alerts, "stale_submission")[0].subject == f"submissions/{submission_id}"
    assert set(watch.peers.scheduler.reaped) == {(f"submissions/{submission_id}", version)}


async def test_an_alert_is_raised_even_if_the_scheduler_refuses_the_remedy(watch: Watch) -> None:
    watch.peers.scheduler.refuses_with = grpc.StatusCode.INTERNAL
    await watch.claim(uuid4())

    alerts = await watch.raised(watch.judge())

    assert of_rule(alerts, "stale_submission")


async def test_pulses_keep_a_gap_closed(watch: Watch) -> None:
    submission_id, judge = uuid4(), watch.judge()
    version = await watch.claim(submission_id)
    began = watch.clock.monotonic()

    while watch.clock.monotonic() - began < 3 * SHORT.total_seconds():
        await watch.pulse_attempt(submission_id, version)
        await watch.caught_up()
        await judge.run_once()

    assert await watch.alerts() == []


async def test_the_pulses_of_an_older_claim_do_not_keep_a_newer_one_alive(watch: Watch) -> None:
    submission_id, judge = uuid4(), watch.judge()
    older = await watch.claim(submission_id)
    newer = await watch.claim(submission_id)

    async with asyncio.timeout(20):
        while not await watch.alerts():
            await watch.pulse_attempt(submission_id, older)
            await judge.run_once()

    assert watch.peers.scheduler.reaped[0] == (f"submissions/{submission_id}", newer)


async def test_a_silent_worker_is_marked_lost_once_with_the_length_of_its_silence(watch: Watch) -> None:
    await watch.start_worker("w-1")
    await watch.pulse_worker("w-1")

    alerts = await watch.raised(watch.judge(), watch.judge())

    assert of_rule(alerts, "silent_worker")[0].subject == "workers/w-1"
    history = await watch.ledger.history(identity.worker_stream("w-1"))
    assert [each.event_type for each in history] == ["WorkerStarted", "WorkerLost"]
    lost = system_events_pb2.WorkerLost.FromString(history[-1].payload)
    assert SHORT <= lost.silent_duration.ToTimedelta() < 20 * SHORT


async def test_a_worker_that_is_heard_again_resolves_its_alert_and_its_next_silence_is_another(
    watch: Watch,
) -> None:
    judge = watch.judge()
    await watch.start_worker("w-1")
    await watch.raised(judge)

    await watch.pulse_worker("w-1")
    alerts = await watch.judged([judge], lambda alerts: len(alerts) == 2)

    assert [each.state for each in alerts] == [AlertState.RAISED, AlertState.RESOLVED]


async def test_a_worker_that_said_good_bye_is_not_missed(watch: Watch) -> None:
    judge, stream = watch.judge(), Stream(identity.worker_stream("w-1"), events.WORKER)
    await watch.start_worker("w-1")
    await watch.append(stream, system_events_pb2.WorkerStopped(worker_id="w-1", reason="drained"))
    await watch.start_worker("w-2")

    [alert] = await watch.raised(judge)

    assert alert.subject == "workers/w-2"


async def test_lag_is_not_silence(watch: Watch) -> None:
    submission_id, judge = uuid4(), watch.judge()
    version = await watch.claim(submission_id)
    await watch.caught_up()
    await judge.run_once()
    await watch.hold_back("gaps")
    began = watch.clock.monotonic()

    while watch.clock.monotonic() - began < 2 * SHORT.total_seconds():
        await watch.pulse_attempt(submission_id, version)
        await judge.run_once()
    await watch.follow("gaps")
    await watch.pulse_attempt(submission_id, version)
    await watch.caught_up()
    await judge.run_once()

    assert await watch.alerts() == []
    assert watch.peers.scheduler.reaped == []


async def test_alerts_stand_while_the_gaps_are_read_anew(watch: Watch) -> None:
    await watch.dead_letter()
    judge = watch.judge()
    await watch.raised(judge)
    await watch.hold_back("gaps")
    await watch.forget_gaps()

    for _ in range(3):
        await judge.run_once()

    async with watch.reads.of_all() as connection:
        cursor = await connection.execute("select state from monitor.alert")
        assert await cursor.fetchall() == [("raised",)]


async def test_an_event_that_cannot_be_read_does_not_blind_the_watchdog(watch: Watch) -> None:
    stream_id, unknown = uuid4(), NewEvent("SubmissionMoonwalked", b"\xff")
    await watch.store.append(StreamAppend(stream_id, events.SUBMISSION, TENANT, [unknown]))
    damaged = NewEvent("SubmissionClaimed", b"\xff\xff")
    await watch.store.append(StreamAppend(stream_id, events.SUBMISSION, TENANT, [damaged]))
    await watch.dead_letter()

    [alert] = await watch.raised(watch.judge())

    assert alert.rule == "dead_letter"


async def test_one_gap_that_cannot_be_acted_on_does_not_keep_the_others_waiting(watch: Watch) -> None:
    taken = Stream(identity.worker_stream("w-1"), events.WORKER, tenant=uuid4())
    await watch.append(taken, system_events_pb2.WorkerStarted(worker_id="w-1"))
    judge = watch.judge()
    with pytest.raises(InvalidAppend):
        await watch.raised(judge)

    await watch.dead_letter()
    await watch.caught_up()
    with pytest.raises(InvalidAppend):
        await judge.run_once()

    assert [each.rule for each in await watch.alerts()] == ["dead_letter"]


async def test_a_flood_under_one_rule_hides_no_alert_of_another(watch: Watch) -> None:
    watch.peers.submitter.workers = [worker("w-1", busy=2, slots=2)]
    for _ in range(60):
        await request(watch)
    await watch.dead_letter()

    alerts = await watch.raised(watch.judge())

    assert [each.rule for each in alerts] == ["dead_letter"]


async def test_work_that_waits_for_busy_workers_is_no_standstill(watch: Watch) -> None:
    watch.peers.submitter.workers = [worker("w-1", busy=2, slots=2)]
    await request(watch)
    judge, began = watch.judge(), watch.clock.monotonic()

    while watch.clock.monotonic() - began < 3 * SHORT.total_seconds():
        await watch.caught_up()
        await judge.run_once()

    assert await watch.alerts() == []


async def test_work_that_nobody_sends_out_while_slots_are_free_is_one_alert_however_much_it_is(
    watch: Watch,
) -> None:
    watch.peers.submitter.workers = [worker("w-1", busy=1, slots=2)]
    for _ in range(5):
        await request(watch)
    judge = watch.judge()

    await watch.raised(judge)
    for _ in range(3):
        await judge.run_once()

    [alert] = await watch.alerts()
    assert alert.rule == "undispatched"


async def test_while_some_work_goes_out_what_waits_is_no_standstill(watch: Watch) -> None:
    watch.peers.submitter.workers = [worker("w-1", busy=1, slots=2)]
    await request(watch)
    judge, began = watch.judge(), watch.clock.monotonic()

    while watch.clock.monotonic() - began < 3 * SHORT.total_seconds():
        other = uuid4()
        await watch.append(about(other), submission_events_pb2.SubmissionDispatched(queue="p1"))
        await watch.append(about(other), submission_events_pb2.SubmissionListed())
        await watch.caught_up()
        await judge.run_once()

    assert await watch.alerts() == []


async def request(watch: Watch) -> UUID:
    """Let a submission be requested."""
    submission_id = uuid4()
    requested = submission_events_pb2.SubmissionRequested(submission_id=str(submission_id))
    await watch.append(about(submission_id), requested)
    return submission_id


async def test_a_read_model_that_stopped_raises_an_alert_until_it_goes_on(watch: Watch) -> None:
    paused = PausedProjections(watch.reads, watch.judge_desk())
    await execute(
        watch.url,
        "insert into es.projection"
        " (name, version, partition, paused_at, failed_lane, failed_position, attempts, error)"
        " values ('jobs', 1, 0, clock_timestamp(), 0, 8, 1, 'UnknownEvent: JobMoonwalked, version 1')",
    )
    await paused.run_once()
    await paused.run_once()
    await watch.caught_up()

    [alert] = await watch.alerts()
    assert (alert.rule, alert.subject) == (paused_projections.RULE, "projections/jobs")
    assert alert.severity == system_events_pb2.SEVERITY_CRITICAL
    assert "stopped at position 8 of lane 0: UnknownEvent: JobMoonwalked" in alert.summary
    judge = watch.judge()
    for _ in range(3):
        await judge.run_once()
    assert [each.state for each in await watch.alerts()] == [AlertState.RAISED]

    await execute(watch.url, "update es.projection set paused_at = null where name = 'jobs'")
    await paused.run_once()
    assert (await watch.alert(alert.alert_id)).state is AlertState.RESOLVED
