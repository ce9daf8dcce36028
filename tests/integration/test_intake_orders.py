"""Orders: accepted once, shown, cancelled, listed, through a real gRPC server on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import grpc
import pytest
from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import job_events_pb2, submission_events_pb2
from directorybolt.intake.v1 import jobs_pb2 as m
from directorybolt.job.v1 import job_pb2

from services.domain import events
from services.intake.sealing import unseal
from services.intake.show_job import FOLDED_SUBMISSIONS_MAX
from tests.fix_intake import a_profile, intake, postgres_cluster, services_template

if TYPE_CHECKING:
    from tests.fix_intake import Intake, Tenant

__all__ = ["intake", "postgres_cluster", "services_template"]

CODE = grpc.StatusCode


async def job_of(tenant: Tenant, name: str) -> job_pb2.Job:
    """Return a job as it is now."""
    return (await tenant.ask("GetJob", m.GetJobRequest(name=name))).job


async def jobs_of(tenant: Tenant, position: str = "", **fields: object) -> list[job_pb2.Job]:
    """Return a customer's jobs, page by page."""
    found: list[job_pb2.Job] = []
    token = ""
    while True:
        request = m.ListJobsRequest(parent=tenant.name, page_token=token, min_position=position, **fields)  # pyright: ignore[reportArgumentType]
        page = await tenant.ask("ListJobs", request)
        found += page.jobs
        token = page.next_page_token
        if not token:
            return found


async def test_an_order_is_accepted_and_shown_at_once(intake: Intake) -> None:
    tenant = await intake.tenant(job_pb2.PACKAGE_GROWTH)
    await intake.catalogue("yellow", "blue")
    job = await tenant.order("yellow", "blue")
    assert job.name.startswith(f"{tenant.name}/jobs/")
    assert (job.profile, job.profile_version) == (tenant.profile, 1)
    assert (job.state, job.priority, job.package) == (
        job_pb2.JOB_STATE_ACCEPTED,
        job_pb2.PRIORITY_P2,
        job_pb2.PACKAGE_GROWTH,
    )
    assert job.HasField("create_time")
    assert not job.HasField("end_time")
    shown = await job_of(tenant, job.name)
    assert (shown.name, shown.create_time) == (job.name, job.create_time)
    assert [each.name for each in await jobs_of(tenant, job.position)] == [job.name]


async def test_the_accepted_event_says_all_that_the_scheduler_needs(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow")
    await tenant.ask("UpsertProfile", a_profile(tenant.name, name=tenant.profile, business_name="Nord"))
    job = await tenant.order("yellow")
    job_id = UUID(job.name.rpartition("/")[2])
    (stored,) = await intake.store.read_stream(job_id)
    fact = job_events_pb2.JobAccepted.FromString(stored.payload)
    assert (fact.job_id, fact.customer_id, fact.profile_version) == (str(job_id), str(tenant.id), 2)
    assert (list(fact.directory_ids), fact.priority) == (["yellow"], job_pb2.PRIORITY_P3)
    assert (stored.correlation_id, stored.tenant) == (job_id, tenant.id)
    assert stored.actor == f"intake/customer:{tenant.key[4:12]}", "the log says whose key it was"
    assert len(fact.body_hash) == 32
    assert stored.trace_parent.startswith("00-") or stored.trace_parent == ""


async def test_fifty_repeats_at_once_make_one_job_and_get_one_answer(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow")
    request = tenant.an_order("yellow")
    answers = await asyncio.gather(*(tenant.ask("CreateJob", request) for _ in range(50)))
    for each in answers:
        each.job.ClearField("position")  # sealed anew each time
    assert all(each == answers[0] for each in answers)
    assert len(await intake.store.read_stream(UUID(answers[0].job.name.rpartition("/")[2]))) == 1


async def test_a_repeat_gets_the_first_answer_whatever_has_changed_since(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow")
    request = tenant.an_order("yellow")
    first = (await tenant.ask("CreateJob", request)).job
    await intake.catalogue("yellow", state=directory_pb2.DIRECTORY_STATE_DEAD)
    await tenant.ask("CancelJob", m.CancelJobRequest(name=first.name))
    again = (await tenant.ask("CreateJob", request)).job
    assert (again.name, again.state) == (first.name, job_pb2.JOB_STATE_ACCEPTED)
    request.parent = request.parent.upper().replace("CUSTOMERS", "customers")
    assert (await tenant.ask("CreateJob", request)).job.name == first.name, "one id, however it is spelt"


@pytest.mark.parametrize("change", ["directories", "profile", "priority"])
async def test_a_request_id_with_another_order_is_refused(intake: Intake, change: str) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow", "blue")
    request = tenant.an_order("yellow")
    await tenant.ask("CreateJob", request)
    if change == "directories":
        request.directories.append("directories/blue")
    elif change == "profile":
        request.profile = (await tenant.ask("UpsertProfile", a_profile(tenant.name))).profile.name
    else:
        request.priority = job_pb2.PRIORITY_P3
    refused = await tenant.refusal("CreateJob", request)
    assert (refused.code, refused.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_two_customers_may_choose_the_same_request_id(intake: Intake) -> None:
    one, other = await intake.tenant(), await intake.tenant()
    await intake.catalogue("yellow")
    request_id = str(uuid4())
    jobs = [await each.order("yellow", request_id=request_id) for each in (one, other)]
    assert jobs[0].name != jobs[1].name


async def test_bad_orders_are_refused_in_words_that_help_and_store_nothing(intake: Intake) -> None:
    tenant, stranger = await intake.tenant(), await intake.tenant()
    await intake.catalogue("yellow", *(f"d{each}" for each in range(51)))
    await intake.catalogue("paid", state=directory_pb2.DIRECTORY_STATE_PAID)
    head = await intake.store.head()
    unknown = f"{tenant.name}/profiles/{uuid4()}"
    for request, code, reason, word in (
        (tenant.an_order("yellow", request_id="42"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "request_id"),
        (tenant.an_order("yellow", profile="x"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "profile"),
        (tenant.an_order("yellow", parent="x"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "parent"),
        (tenant.an_order("Yellow"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "directories[0]"),
        (tenant.an_order("yellow", "yellow"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "twice"),
        (tenant.an_order("yellow", "paid"), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "takes money"),
        (tenant.an_order("yellow", priority=9), CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", "priority"),
        (
            tenant.an_order(*(f"d{each}" for each in range(51))),
            CODE.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            "50",
        ),
        (
            tenant.an_order(*(f"d{each}" for each in range(501))),
            CODE.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            "500",
        ),
        (tenant.an_order("yellow", "gone"), CODE.NOT_FOUND, "DIRECTORY_NOT_FOUND", "directories/gone"),
        (tenant.an_order("yellow", profile=unknown), CODE.NOT_FOUND, "PROFILE_NOT_FOUND", "profile"),
        (tenant.an_order("yellow", profile=stranger.profile), CODE.NOT_FOUND, "PROFILE_NOT_FOUND", "profile"),
        (tenant.an_order("yellow", parent=stranger.name), CODE.NOT_FOUND, "CUSTOMER_NOT_FOUND", "customer"),
        (tenant.an_order("yellow", priority=1), CODE.PERMISSION_DENIED, "SCOPE_MISSING", "priority"),
    ):
        refused = await tenant.refusal("CreateJob", request)
        assert (refused.code, refused.reason) == (code, reason)
        assert word in refused.words
    assert await intake.store.head() == head


async def test_staff_orders_for_a_customer_at_another_priority(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow")
    request = tenant.an_order("yellow", priority=job_pb2.PRIORITY_P1)
    assert (await intake.staff.ask("CreateJob", request)).job.priority == job_pb2.PRIORITY_P1
    unknown = tenant.an_order(
        "yellow", parent=f"customers/{uuid4()}", profile=f"customers/{uuid4()}/profiles/{uuid4()}"
    )
    assert (await intake.staff.refusal("CreateJob", unknown)).code is CODE.NOT_FOUND


async def test_an_order_without_directories_leaves_the_choice_to_the_package(intake: Intake) -> None:
    tenant = await intake.tenant()
    assert (await tenant.order()).state == job_pb2.JOB_STATE_ACCEPTED


async def test_a_cancel_is_asked_for_once_and_never_after_the_end(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("yellow")
    job = await tenant.order("yellow")
    request = m.CancelJobRequest(name=job.name, reason="changed our minds")
    answers = await asyncio.gather(*(tenant.ask("CancelJob", request) for _ in range(5)))
    assert {each.job.state for each in answers} == {job_pb2.JOB_STATE_CANCELLING}
    job_id = UUID(job.name.rpartition("/")[2])
    stored = await intake.store.read_stream(job_id)
    assert [each.event_type for each in stored] == ["JobAccepted", "JobCancelRequested"]
    asked = events.read(stored[1])
    assert isinstance(asked, job_events_pb2.JobCancelRequested)
    details = await unseal(intake.vault, tenant.id, job_id, asked.details, job_events_pb2.CancelDetails)
    assert details.reason == "changed our minds"
    assert b"changed our minds" not in stored[1].payload
    await intake.append_to_job(tenant, job_id, job_events_pb2.JobCancelled(job_id=str(job_id)))
    refused = await tenant.refusal("CancelJob", request)
    assert (refused.code, refused.reason) == (CODE.FAILED_PRECONDITION, "JOB_FINISHED")
    ended = await job_of(tenant, job.name)
    assert ended.state == job_pb2.JOB_STATE_CANCELLED
    assert ended.HasField("end_time")


async def test_a_cancel_of_nothing_or_with_too_many_words_is_refused(intake: Intake) -> None:
    tenant, stranger = await intake.tenant(), await intake.tenant()
    job = await stranger.order()
    for name in (f"{tenant.name}/jobs/{uuid4()}", job.name, job.name.replace(stranger.name, tenant.name)):
        refused = await tenant.refusal("CancelJob", m.CancelJobRequest(name=name))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "JOB_NOT_FOUND")
    request = m.CancelJobRequest(name=job.name, reason="x" * 501)
    assert (await stranger.refusal("CancelJob", request)).fields == ("reason",)


@pytest.mark.parametrize("size", [3, FOLDED_SUBMISSIONS_MAX + 5])
async def test_a_jobs_counts_cover_every_acknowledged_write(intake: Intake, size: int) -> None:
    tenant = await intake.tenant(job_pb2.PACKAGE_ENTERPRISE)
    job = await tenant.order()
    submissions = await intake.plan(tenant, job.name, [f"d{each}" for each in range(size)])
    shown = await job_of(tenant, job.name)
    assert shown.counts == job_pb2.SubmissionCounts(total=size, open=size)
    assert shown.state == job_pb2.JOB_STATE_RUNNING
    for number, submission_id in enumerate(submissions[:3], start=1):
        fact = submission_events_pb2.SubmissionListed(attempt=1)
        await intake.append_to_submission(tenant, submission_id, fact)
        shown = await job_of(tenant, job.name)
        assert shown.counts == job_pb2.SubmissionCounts(total=size, open=size - number, listed=number)
    (row,) = await jobs_of(tenant, shown.position)
    assert (row.counts, row.state, row.update_time) == (shown.counts, shown.state, shown.update_time)


async def test_jobs_are_listed_newest_first_by_state_and_in_pages_that_make_the_whole(intake: Intake) -> None:
    tenant = await intake.tenant()
    jobs = [await tenant.order() for _ in range(7)]
    cancelled = await tenant.ask("CancelJob", m.CancelJobRequest(name=jobs[2].name))
    position = cancelled.job.position
    newest_first = [each.name for each in reversed(jobs)]
    assert [each.name for each in await jobs_of(tenant, position)] == newest_first
    assert [each.name for each in await jobs_of(tenant, position, page_size=2)] == newest_first
    found = await jobs_of(tenant, position, state=job_pb2.JOB_STATE_CANCELLING)
    assert [each.name for each in found] == [jobs[2].name]
    page = await tenant.ask("ListJobs", m.ListJobsRequest(parent=tenant.name, page_size=2))
    for changed in (
        m.ListJobsRequest(
            parent=tenant.name, page_token=page.next_page_token, state=job_pb2.JOB_STATE_RUNNING
        ),
        m.ListJobsRequest(parent=tenant.name, page_token="x" + page.next_page_token),
    ):
        assert (await tenant.refusal("ListJobs", changed)).fields == ("page_token",)
    for changed, field in (
        ({"page_size": -1}, "page_size"),
        ({"state": 77}, "state"),
        ({"min_position": "x"}, "min_position"),
    ):
        request = m.ListJobsRequest(parent=tenant.name, **changed)  # pyright: ignore[reportArgumentType]
        assert (await tenant.refusal("ListJobs", request)).fields == (field,)


async def test_a_page_token_of_another_customer_does_not_open(intake: Intake) -> None:
    one, other = await intake.tenant(), await intake.tenant()
    await one.order()
    position = (await one.order()).position
    request = m.ListJobsRequest(parent=one.name, page_size=1, min_position=position)
    token = (await one.ask("ListJobs", request)).next_page_token
    assert token
    refused = await other.refusal("ListJobs", m.ListJobsRequest(parent=other.name, page_token=token))
    assert refused.fields == ("page_token",)


async def test_a_read_model_that_cannot_catch_up_in_time_says_so(intake: Intake) -> None:
    tenant = await intake.tenant()
    position = intake.token_of(await intake.store.head(), ahead=1_000)
    request = m.ListJobsRequest(parent=tenant.name, min_position=position)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tenant.ask("ListJobs", request, seconds=0.6)
    assert refused.value.code() is CODE.UNAVAILABLE
    assert "min_position" in (refused.value.details() or "")
