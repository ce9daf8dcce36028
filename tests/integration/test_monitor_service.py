"""MonitorService over real gRPC: every method, what it refuses, and that no answer is stale."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from directorybolt.event.v1 import submission_events_pb2, system_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from directorybolt.scheduler.v1 import scheduler_service_pb2

from eventstore.types import ANY_VERSION
from services.domain import errors, events
from services.domain.gap_rules import default_rules
from services.runtime.client import open_channel, peer_errors
from services.runtime.clock import SystemClock
from services.runtime.ledger import Stream
from tests.doubles.peers import worker
from tests.fix_monitor_service import (
    SERVICE_KEY,
    TENANT,
    monitor,
    monitor_template,
    postgres_cluster,
    sqs_environment,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.fix_monitor_service import Monitor

__all__ = ["monitor", "monitor_template", "postgres_cluster", "sqs_environment"]

TELL_SECONDS_MAX = 10.0
SECOND = timedelta(seconds=1)


async def refused(error: type[errors.DomainError], call: Awaitable[object]) -> errors.DomainError:
    """Return the refusal that a call meets."""
    with pytest.raises(error) as found, peer_errors():
        await call
    return found.value


async def read_all(monitor: Monitor, **request: object) -> list[pb.ReadAllResponse]:
    """Return the log as ReadAll sends it."""
    with peer_errors():
        return [each async for each in monitor.stub.ReadAll(pb.ReadAllRequest(**request))]  # pyright: ignore[reportArgumentType]


async def test_a_dead_letter_reaches_slack_and_the_list_within_seconds(monitor: Monitor) -> None:
    began = asyncio.get_running_loop().time()
    submission_id = await monitor.dead_letter()

    [text] = await monitor.webhook.took(1)

    assert asyncio.get_running_loop().time() - began < TELL_SECONDS_MAX
    assert str(submission_id) in text
    answer = await monitor.alerts(lambda answer: "slack" in answer.alerts[0].notified_channels)
    [alert] = answer.alerts
    assert alert.rule == "dead_letter"
    assert alert.state == pb.ALERT_STATE_RAISED
    assert alert.severity == system_events_pb2.SEVERITY_CRITICAL
    assert alert.HasField("create_time")
    assert not alert.HasField("resolve_time")


async def test_what_a_person_changes_is_in_the_answer_and_names_the_person(monitor: Monitor) -> None:
    await monitor.dead_letter()
    name = (await monitor.raised()).alerts[0].name

    request = pb.AcknowledgeAlertRequest(name=name, note="on it <b>now</b>")
    seen = (await monitor.stub.AcknowledgeAlert(request)).alert
    again = (await monitor.stub.AcknowledgeAlert(request)).alert
    over = (await monitor.stub.ResolveAlert(pb.ResolveAlertRequest(name=name))).alert

    assert seen.state == again.state == pb.ALERT_STATE_ACKNOWLEDGED
    assert seen.rule == over.rule == "dead_letter"
    assert over.state == pb.ALERT_STATE_RESOLVED
    assert over.HasField("resolve_time")
    stream = await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=name.removeprefix("alerts/")))
    facts = [each for each in stream.events if each.WhichOneof("data") != "alert_notified"]
    assert [each.WhichOneof("data") for each in facts] == [
        "alert_raised",
        "alert_acknowledged",
        "alert_resolved",
    ]
    assert facts[1].alert_acknowledged.note == "on it now"
    assert facts[2].alert_resolved.cause == "person"
    assert facts[0].actor == "monitor"
    assert {facts[1].actor, facts[2].actor} == {"staff:staff000"}


async def test_an_alert_that_is_over_cannot_be_acknowledged_but_resolved_once_more(monitor: Monitor) -> None:
    await monitor.dead_letter()
    name = (await monitor.raised()).alerts[0].name
    first = await monitor.stub.ResolveAlert(pb.ResolveAlertRequest(name=name))

    again = await monitor.stub.ResolveAlert(pb.ResolveAlertRequest(name=name))
    refusal = await refused(
        errors.AlertStateForbids,
        monitor.stub.AcknowledgeAlert(pb.AcknowledgeAlertRequest(name=name)),
    )

    assert again.alert.resolve_time == first.alert.resolve_time
    assert refusal.metadata["state"] == "resolved"


async def test_what_cannot_be_answered_is_refused_in_words(monitor: Monitor) -> None:
    s = monitor.stub
    refusals = [
        await refused(errors.AlertNotFound, s.AcknowledgeAlert(pb.AcknowledgeAlertRequest(name=nobody()))),
        await refused(errors.AlertNotFound, s.ResolveAlert(pb.ResolveAlertRequest(name=nobody()))),
        await refused(errors.InvalidArgument, s.ResolveAlert(pb.ResolveAlertRequest(name="alerts/1"))),
        await refused(errors.InvalidArgument, s.ResolveAlert(pb.ResolveAlertRequest(name=f"jobs/{uuid4()}"))),
        await refused(
            errors.InvalidArgument,
            s.AcknowledgeAlert(pb.AcknowledgeAlertRequest(name=nobody(), note="x" * 501)),
        ),
        await refused(errors.InvalidArgument, s.ListAlerts(pb.ListAlertsRequest(page_size=-1))),
        await refused(errors.InvalidArgument, s.ListAlerts(pb.ListAlertsRequest(page_token="AAAA"))),
        await refused(errors.InvalidArgument, s.ReadStream(pb.ReadStreamRequest(stream_id="no"))),
        await refused(
            errors.InvalidArgument,
            s.ReadStream(pb.ReadStreamRequest(stream_id=str(uuid4()), from_version=-1)),
        ),
        await refused(errors.StreamNotFound, s.ReadStream(pb.ReadStreamRequest(stream_id=str(uuid4())))),
    ]

    assert all(len(str(each)) > 15 for each in refusals)
    assert (await monitor.store.head()).number == 0, "nothing was stored"


def nobody() -> str:
    return f"alerts/{uuid4()}"


async def test_alerts_come_newest_first_in_pages_that_new_alerts_do_not_shift(monitor: Monitor) -> None:
    for count in range(1, 6):
        await monitor.dead_letter()
        await monitor.raised(count)
    names = [each.name for each in (await monitor.raised(5)).alerts]

    first = await monitor.stub.ListAlerts(pb.ListAlertsRequest(page_size=2))
    await monitor.dead_letter()
    await monitor.raised(6)
    token = first.next_page_token
    second = await monitor.stub.ListAlerts(pb.ListAlertsRequest(page_size=2, page_token=token))
    token = second.next_page_token
    third = await monitor.stub.ListAlerts(pb.ListAlertsRequest(page_size=2, page_token=token))

    assert [each.name for page in (first, second, third) for each in page.alerts] == names
    assert third.next_page_token == ""
    other = pb.ListAlertsRequest(show_resolved=True, page_token=first.next_page_token)
    await refused(errors.InvalidArgument, monitor.stub.ListAlerts(other))


async def test_resolved_alerts_are_listed_only_if_asked_for(monitor: Monitor) -> None:
    await monitor.dead_letter()
    name = (await monitor.raised()).alerts[0].name
    await monitor.stub.ResolveAlert(pb.ResolveAlertRequest(name=name))

    await monitor.alerts(lambda answer: not answer.alerts, show_resolved=False)
    answer = await monitor.stub.ListAlerts(pb.ListAlertsRequest(show_resolved=True))

    assert [each.name for each in answer.alerts] == [name]


async def test_a_later_event_resolves_an_alert(monitor: Monitor) -> None:
    submission_id = await monitor.dead_letter()
    await monitor.raised()

    redriven = submission_events_pb2.SubmissionRedriven(reason="again")
    await monitor.ledger.append(Stream(submission_id, events.SUBMISSION, TENANT), [redriven], ANY_VERSION)
    answer = await monitor.alerts(lambda answer: answer.alerts[0].state == pb.ALERT_STATE_RESOLVED)

    assert answer.alerts[0].HasField("resolve_time")


async def test_the_rules_are_listed_in_the_order_of_judgement_with_words_for_people(monitor: Monitor) -> None:
    answer = await monitor.stub.ListGapRules(pb.ListGapRulesRequest())

    rules = default_rules(lease=answer.gap_rules[0].after.ToTimedelta() / 2, pulse=SECOND)
    assert [each.rule for each in answer.gap_rules] == [each.name for each in rules]
    stale = answer.gap_rules[0]
    assert (stale.rule, stale.remedy) == ("stale_submission", "reap_lease")
    assert set(stale.opened_by) == {"AttemptPulse", "SubmissionClaimed"}
    assert all(each.description and each.closed_by is not None for each in answer.gap_rules)


async def test_a_stream_is_read_in_pages_with_its_version(monitor: Monitor) -> None:
    submission_id = uuid4()
    for _ in range(5):
        await monitor.dead_letter(submission_id)

    request = pb.ReadStreamRequest(stream_id=str(submission_id), from_version=2, page_size=2)
    answer = await monitor.stub.ReadStream(request)
    beyond = await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(submission_id), from_version=9))

    assert [each.version for each in answer.events] == [2, 3]
    assert answer.stream_version == beyond.stream_version == 5
    assert list(beyond.events) == []
    event = answer.events[0]
    assert (event.category, event.customer_id, event.actor) == ("submission", str(TENANT), "submitter")
    assert event.submission_dead_lettered.attempts_used == 5
    assert len(event.hash) == 32


async def test_the_log_is_read_from_any_position_and_by_kind(monitor: Monitor) -> None:
    ids = [await monitor.dead_letter() for _ in range(3)]

    found = await read_all(monitor, event_types=["SubmissionDeadLettered"], categories=["submission"])
    rest = await read_all(monitor, after_position=found[0].event.position, categories=["submission"])

    assert [each.event.stream_id for each in found] == [str(each) for each in ids]
    assert [each.event.stream_id for each in rest] == [str(each) for each in ids[1:]]


async def test_a_log_that_cannot_be_read_is_refused_at_once_even_to_followers(monitor: Monitor) -> None:
    wrong: list[dict[str, object]] = [
        {"categories": ["submisson"]},
        {"event_types": ["SubmissionLost"]},
        {"after_position": "AAAA"},
    ]
    for request in wrong:
        with pytest.raises(errors.InvalidArgument) as refusal:
            await read_all(monitor, follow=True, **request)

        assert refusal.value.violations[0].field in request


async def test_a_position_beyond_the_end_is_refused(monitor: Monitor) -> None:
    with pytest.raises(errors.PositionBeyondEnd):
        await read_all(monitor, after_position=monitor.token(1_000_000), follow=True)


async def test_a_follower_gets_what_comes_and_goes_on_where_it_left(monitor: Monitor) -> None:
    first = await monitor.dead_letter()
    request = pb.ReadAllRequest(categories=["submission"], follow=True)
    call = monitor.stub.ReadAll(request)
    reading = aiter(call)
    assert (await anext(reading)).event.stream_id == str(first)

    second = await monitor.dead_letter()
    answer = await anext(reading)
    assert answer.event.stream_id == str(second)
    call.cancel()

    third = await monitor.dead_letter()
    request.after_position = answer.event.position
    again = monitor.stub.ReadAll(request)
    assert (await anext(aiter(again))).event.stream_id == str(third)
    again.cancel()


async def test_a_whole_log_is_intact_and_an_altered_one_is_not(monitor: Monitor) -> None:
    for _ in range(20):
        await monitor.dead_letter()
    intact = await monitor.stub.VerifyLog(pb.VerifyLogRequest())
    await monitor.as_superuser(
        "update es.event_from_1 set payload = payload || '\\x0801'::bytea where position = 7"
    )

    altered = await monitor.stub.VerifyLog(pb.VerifyLogRequest())

    assert intact.intact
    assert intact.events_count >= 20
    assert intact.HasField("end_time")
    assert (intact.first_bad_position, intact.defect) == ("", "")
    assert not altered.intact
    assert altered.defect == "hash"
    [bad] = monitor.sealer.read_position(altered.first_bad_position, field="first_bad_position")
    assert bad.number == 7


async def test_a_log_that_lacks_an_event_is_not_intact(monitor: Monitor) -> None:
    for _ in range(20):
        await monitor.dead_letter()
    await monitor.as_superuser("delete from es.event_from_1 where position = 9")

    found = await monitor.stub.VerifyLog(pb.VerifyLogRequest())

    assert (found.intact, found.defect, found.events_count) == (False, "gap", 8)


async def test_a_mesh_that_works_is_healthy_with_its_figures(monitor: Monitor) -> None:
    monitor.peers.submitter.workers = [worker("w-1", busy=1, slots=3), worker("w-2", busy=2, slots=2)]
    monitor.peers.scheduler.queues = [scheduler_service_pb2.Queue(name="queues/p1", waiting=7)]

    answer = await monitor.stub.GetHealth(pb.GetHealthRequest())

    assert answer.state == pb.HEALTH_STATE_HEALTHY, answer
    assert answer.score == 100
    assert (answer.workers_alive, answer.slots_free, answer.waiting, answer.alerts_open) == (2, 2, 7, 0)
    parts = {each.part for each in answer.parts}
    assert parts >= {"database", "workers", "queues/p1", "alerts", "log", "projection/gaps"}


async def test_health_falls_when_a_service_is_out_of_reach_and_with_an_alert(monitor: Monitor) -> None:
    monitor.peers.submitter.workers = [worker("w-1", busy=0, slots=2)]
    await monitor.dead_letter()
    await monitor.raised()
    alerted = await monitor.stub.GetHealth(pb.GetHealthRequest())
    await monitor.peers.stop()

    answer = await monitor.stub.GetHealth(pb.GetHealthRequest())

    assert (alerted.state, alerted.alerts_open) == (pb.HEALTH_STATE_DEGRADED, 1)
    assert answer.state == pb.HEALTH_STATE_UNHEALTHY
    assert answer.score < alerted.score < 100
    unreachable = {each.part for each in answer.parts if "does not answer" in each.detail}
    assert unreachable == {"scheduler", "submitter"}


async def test_services_may_ask_for_health_but_not_answer_alerts_nor_read_the_log(monitor: Monitor) -> None:
    async with open_channel(monitor.address, api_key=SERVICE_KEY, clock=SystemClock()) as channel:
        stub = MonitorServiceStub(channel)
        await stub.GetHealth(pb.GetHealthRequest())

        await refused(errors.ScopeMissing, stub.ListAlerts(pb.ListAlertsRequest()))
        await refused(errors.ScopeMissing, stub.VerifyLog(pb.VerifyLogRequest()))


async def test_an_event_of_a_newer_release_is_shown_by_its_name_without_its_data(monitor: Monitor) -> None:
    submission_id = await monitor.dead_letter()
    await monitor.as_superuser("insert into es.event_type (id, name) values (999, 'SubmissionMoonwalked')")
    await monitor.as_superuser(
        "update es.event_from_1 set event_type = 999 where stream_id = %s", submission_id
    )

    read = await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(submission_id)))

    assert {each.event_type for each in read.events} == {"SubmissionMoonwalked"}
    assert {each.WhichOneof("data") for each in read.events} == {None}


async def test_an_event_that_was_damaged_is_data_loss_and_not_a_stack_trace(monitor: Monitor) -> None:
    submission_id = await monitor.dead_letter()
    await monitor.as_superuser(
        "update es.event_from_1 set payload = decode('ff', 'hex') where stream_id = %s", submission_id
    )

    with pytest.raises(grpc.aio.AioRpcError) as found:
        await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(submission_id)))

    assert found.value.code() == grpc.StatusCode.DATA_LOSS
    assert "does not decode" in (found.value.details() or "")
