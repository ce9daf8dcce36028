"""Watching, submissions, history and proofs, through a real gRPC server on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import grpc
import pytest
from directorybolt.event.v1 import job_events_pb2, submission_events_pb2
from directorybolt.intake.v1 import jobs_pb2 as m
from directorybolt.job.v1 import job_pb2

from eventstore.types import LEDGER_LANE, Position
from services.intake.sealing import seal
from tests.fix_intake import intake, intake_process, postgres_cluster, services_template

if TYPE_CHECKING:
    from pathlib import Path

    from directorybolt.event.v1 import event_pb2

    from tests.fix_intake import Caller, Intake, Tenant

__all__ = ["intake", "postgres_cluster", "services_template"]

CODE = grpc.StatusCode


def id_of(name: str) -> UUID:
    """Return the last id of a resource's name."""
    return UUID(name.rpartition("/")[2])


def kind(event: event_pb2.Event) -> str:
    """Return what an event is."""
    return str(event.WhichOneof("data"))


async def seen(
    intake: Intake, tenant: Tenant, submission_id: str, proof_id: str, **details: str
) -> submission_events_pb2.Evidence:
    """Return evidence as a worker seals it."""
    message = submission_events_pb2.EvidenceDetails(**details)  # pyright: ignore[reportArgumentType]
    sealed = await seal(intake.vault, tenant.id, UUID(submission_id), message)
    return submission_events_pb2.Evidence(proof_id=proof_id, confidence=0.9, details=sealed)


async def finish(intake: Intake, tenant: Tenant, job: str, submissions: list[str]) -> None:
    """List every submission, then complete the job, as worker and scheduler do."""
    for each in submissions:
        await intake.append_to_submission(
            tenant,
            each,
            submission_events_pb2.SubmissionClaimed(attempt=1, worker_id="worker-1"),
            submission_events_pb2.SubmissionListed(attempt=1, claim_version=2),
        )
    await intake.append_to_job(tenant, id_of(job), job_events_pb2.JobCompleted(job_id=str(id_of(job))))


async def watched(caller: Caller, job: str, after: str = "") -> list[m.WatchJobResponse]:
    """Return all steps of a job up to its end."""
    return [
        each async for each in caller.stream("WatchJob", m.WatchJobRequest(name=job, after_position=after))
    ]


async def events_of(tenant: Tenant, job: str, page_size: int = 0) -> list[event_pb2.Event]:
    """Return the history of a job, page by page."""
    found: list[event_pb2.Event] = []
    token = ""
    while True:
        request = m.ListJobEventsRequest(parent=job, page_size=page_size, page_token=token)
        page = await tenant.ask("ListJobEvents", request)
        found += page.events
        token = page.next_page_token
        if not token:
            return found


async def submissions_of(
    caller: Caller, parent: str, position: str = "", **fields: object
) -> list[job_pb2.Submission]:
    """Return submissions, page by page."""
    found: list[job_pb2.Submission] = []
    token = ""
    while True:
        request = m.ListSubmissionsRequest(
            parent=parent,
            page_token=token,
            min_position=position,
            **fields,  # pyright: ignore[reportArgumentType]
        )
        page = await caller.ask("ListSubmissions", request)
        found += page.submissions
        token = page.next_page_token
        if not token:
            return found


async def test_a_job_is_watched_live_to_its_end(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    watching = tenant.stream("WatchJob", m.WatchJobRequest(name=job.name))
    first = await watching.read()
    assert (kind(first.event), first.job.state) == ("job_accepted", job_pb2.JOB_STATE_ACCEPTED)
    submissions = await intake.plan(tenant, job.name, ["yellow", "blue"])
    await finish(intake, tenant, job.name, submissions)
    steps = [await watching.read() for _ in range(8)]
    assert await watching.read() is grpc.aio.EOF
    assert await watching.code() is CODE.OK
    assert [kind(each.event) for each in steps] == [
        "submission_requested",
        "submission_requested",
        "job_planned",
        "submission_claimed",
        "submission_listed",
        "submission_claimed",
        "submission_listed",
        "job_completed",
    ]
    assert steps[3].submission.worker == "worker-1"
    assert steps[-1].job.counts == job_pb2.SubmissionCounts(total=2, listed=2)
    assert steps[-1].job.name == job.name


async def test_an_event_reaches_its_watcher_without_waiting_for_a_poll(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    watching = tenant.stream("WatchJob", m.WatchJobRequest(name=job.name))
    await watching.read()
    await intake.append_to_job(tenant, id_of(job.name), job_events_pb2.JobCancelRequested(job_id="x"))
    async with asyncio.timeout(1.5):  # the watcher itself looks again every five seconds only
        assert kind((await watching.read()).event) == "job_cancel_requested"
    watching.cancel()


async def test_a_broken_off_watch_goes_on_from_its_last_position(intake: Intake, tmp_path: Path) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    submissions = await intake.plan(tenant, job.name, ["yellow", "blue", "green"])
    watching = tenant.stream("WatchJob", m.WatchJobRequest(name=job.name))
    before = [await watching.read() for _ in range(3)]
    watching.cancel()
    await finish(intake, tenant, job.name, submissions)
    # A token is good at every process that shares the key.
    async with intake_process(intake.database_url, tmp_path) as other:
        rest = await watched(
            type(tenant)(tenant.key, other.channel, tenant.name, tenant.profile),
            job.name,
            before[-1].position,
        )
    whole = await watched(tenant, job.name)
    ids = [each.event.event_id for each in (*before, *rest)]
    assert ids == [each.event.event_id for each in whole]
    assert rest[-1].job.state == job_pb2.JOB_STATE_COMPLETED


async def test_a_job_that_joins_late_is_shown_with_the_past_of_what_it_joins(intake: Intake) -> None:
    tenant = await intake.tenant()
    first = await tenant.order()
    (shared,) = await intake.plan(tenant, first.name, ["yellow"])
    claimed = submission_events_pb2.SubmissionClaimed(attempt=1, worker_id="worker-1")
    await intake.append_to_submission(tenant, shared, claimed)
    second = await tenant.order()
    assert await intake.plan(tenant, second.name, ["yellow"]) == [shared]
    await intake.append_to_submission(
        tenant, shared, submission_events_pb2.SubmissionListed(attempt=1, claim_version=2)
    )
    for each in (first, second):
        await intake.append_to_job(tenant, id_of(each.name), job_events_pb2.JobCompleted())
    await intake.covered()
    own = ["submission_requested", "submission_claimed", "submission_joined", "submission_listed"]
    for each in (first, second):
        history = await events_of(tenant, each.name)
        assert [kind(event) for event in history if event.category == "submission"] == own
        steps = await watched(tenant, each.name)
        assert [kind(step.event) for step in steps if step.HasField("submission")] == own
        assert {event.event_id for event in history} == {step.event.event_id for step in steps}
        assert steps[-1].job.counts == job_pb2.SubmissionCounts(total=1, listed=1)
    (submission,) = await submissions_of(tenant, second.name)
    assert list(submission.jobs) == [first.name, second.name]


async def test_watching_what_is_not_there_or_beyond_the_end_is_refused(intake: Intake) -> None:
    tenant, stranger = await intake.tenant(), await intake.tenant()
    job = await stranger.order()
    for name in (job.name, job.name.replace(stranger.name, tenant.name), f"{tenant.name}/jobs/{uuid4()}"):
        refused = await tenant.refusal("WatchJob", m.WatchJobRequest(name=name))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "JOB_NOT_FOUND")
    beyond = intake.token_of(await intake.store.head(), ahead=5)
    refused = await stranger.refusal("WatchJob", m.WatchJobRequest(name=job.name, after_position=beyond))
    assert (refused.code, refused.reason) == (CODE.OUT_OF_RANGE, "POSITION_BEYOND_END")
    refused = await stranger.refusal("WatchJob", m.WatchJobRequest(name=job.name, after_position="x"))
    assert refused.fields == ("after_position",)


async def test_watchers_that_go_away_leave_no_task_in_the_process(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    before = asyncio.all_tasks()
    calls = [tenant.stream("WatchJob", m.WatchJobRequest(name=job.name)) for _ in range(10)]
    for each in calls:
        await each.read()
    assert len(asyncio.all_tasks() - before) >= len(calls)
    for each in calls:
        each.cancel()
    # gRPC itself begins a new task to take the next call in, for each call taken.
    ours = {each for each in asyncio.all_tasks() - before if "_request_" not in repr(each)}
    _, left = await asyncio.wait(ours, timeout=10)
    assert left == set()
    assert (await tenant.ask("GetJob", m.GetJobRequest(name=job.name))).job.name == job.name


async def test_a_submission_shows_what_the_site_said_as_long_as_the_key_is_there(
    intake: Intake, tmp_path: Path
) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    (submission_id,) = await intake.plan(tenant, job.name, ["yellow"])
    proof_id = str(uuid4())
    evidence = await seen(
        intake,
        tenant,
        submission_id,
        proof_id,
        listing_url="https://yellow.example/42",
        matched_text="Thank you!",
    )
    await intake.append_to_submission(
        tenant,
        submission_id,
        submission_events_pb2.SubmissionClaimed(attempt=1, worker_id="worker-1"),
        submission_events_pb2.SubmissionListed(attempt=1, claim_version=2, evidence=evidence),
    )
    name = f"{tenant.name}/submissions/{submission_id}"
    shown = (await tenant.ask("GetSubmission", m.GetSubmissionRequest(name=name))).submission
    assert (shown.name, shown.directory, shown.profile) == (name, "directories/yellow", tenant.profile)
    assert (shown.state, shown.attempt, shown.attempts_max, shown.generation) == (
        job_pb2.SUBMISSION_STATE_LISTED,
        1,
        6,
        1,
    )
    assert (shown.listing_url, shown.explanation) == ("https://yellow.example/42", "Thank you!")
    assert list(shown.proofs) == [f"{tenant.name}/proofs/{proof_id}"]
    assert list(shown.jobs) == [job.name]
    assert not shown.HasField("due_time")
    await intake.covered()
    assert await submissions_of(tenant, job.name) == [shown]
    await intake.vault.destroy(tenant.id)
    async with intake_process(intake.database_url, tmp_path) as fresh:
        (erased,) = await submissions_of(fresh.staff, job.name)
    assert (erased.listing_url, erased.explanation) == ("", "")
    assert erased.state == shown.state


async def test_submissions_are_listed_by_directory_by_state_and_in_pages_that_make_the_whole(
    intake: Intake,
) -> None:
    tenant = await intake.tenant()
    first, second = await tenant.order(), await tenant.order()
    ids = await intake.plan(tenant, first.name, [f"d{each}" for each in (4, 1, 3, 0, 2)])
    await intake.plan(tenant, second.name, ["d9"])
    await intake.append_to_submission(tenant, ids[0], submission_events_pb2.SubmissionCancelled())
    await intake.covered()

    def directories(found: list[job_pb2.Submission]) -> list[str]:
        return [each.directory.removeprefix("directories/") for each in found]

    whole = ["d0", "d1", "d2", "d3", "d4"]
    assert directories(await submissions_of(tenant, first.name)) == whole
    assert directories(await submissions_of(tenant, first.name, page_size=2)) == whole
    assert directories(await submissions_of(tenant, tenant.name, page_size=4)) == [*whole, "d9"]
    cancelled = job_pb2.SUBMISSION_STATE_CANCELLED
    assert directories(await submissions_of(tenant, first.name, state=cancelled)) == ["d4"]
    for fields, field in (
        ({"page_size": -1}, "page_size"),
        ({"state": 77}, "state"),
        ({"page_token": "x"}, "page_token"),
    ):
        request = m.ListSubmissionsRequest(parent=first.name, **fields)  # pyright: ignore[reportArgumentType]
        assert (await tenant.refusal("ListSubmissions", request)).fields == (field,)


async def test_a_list_waits_for_the_position_that_it_is_given(intake: Intake) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    for round_number in range(5):
        await intake.plan(tenant, job.name, [f"d{round_number}-{each}" for each in range(3)])
        position = (await tenant.ask("GetJob", m.GetJobRequest(name=job.name))).job.position
        found = await submissions_of(tenant, tenant.name, position)
        assert len(found) == 3 * (round_number + 1)


async def test_the_history_of_a_job_is_in_the_order_of_the_log_in_pages_that_make_the_whole(
    intake: Intake,
) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    submissions = await intake.plan(tenant, job.name, ["yellow", "blue"])
    await finish(intake, tenant, job.name, submissions)
    assert kind((await events_of(tenant, job.name))[-1]) == "job_completed", (
        "what was seen to end has its end"
    )
    await (await intake.tenant()).order()
    await intake.covered()
    whole = await events_of(tenant, job.name)
    log = await intake.store.read_all(Position(LEDGER_LANE, 0))
    ours = [
        each for each in log.events if each.tenant == tenant.id and each.category in {"job", "submission"}
    ]
    assert [each.hash for each in whole] == [each.hash for each in ours]
    assert await events_of(tenant, job.name) != []
    assert [each.event_id for each in await events_of(tenant, job.name, page_size=2)] == [
        each.event_id for each in whole
    ]
    refused = await tenant.refusal(
        "ListJobEvents", m.ListJobEventsRequest(parent=f"{tenant.name}/jobs/{uuid4()}")
    )
    assert refused.reason == "JOB_NOT_FOUND"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 300_000])
async def test_a_proof_picture_comes_in_pieces_that_make_the_picture(intake: Intake, size: int) -> None:
    tenant = await intake.tenant()
    job = await tenant.order()
    (submission_id,) = await intake.plan(tenant, job.name, ["yellow"])
    picture = bytes(each % 251 for each in range(size))
    proof = await intake.evidence.put(tenant.id, picture, "image/jpeg")
    evidence = await seen(intake, tenant, submission_id, str(proof.proof_id))
    fact = submission_events_pb2.SubmissionListed(attempt=1, evidence=evidence)
    await intake.append_to_submission(tenant, submission_id, fact)
    request = m.GetProofRequest(name=f"{tenant.name}/proofs/{proof.proof_id}")
    pieces = [each async for each in tenant.stream("GetProof", request)]
    assert b"".join(each.chunk for each in pieces) == picture
    assert [each.content_type for each in pieces] == ["image/jpeg", *[""] * (len(pieces) - 1)]
    assert all(len(each.chunk) <= 65_536 for each in pieces)


async def test_a_proof_is_its_owners_only(intake: Intake) -> None:
    tenant, stranger = await intake.tenant(), await intake.tenant()
    job = await tenant.order()
    (submission_id,) = await intake.plan(tenant, job.name, ["yellow"])
    proof = await intake.evidence.put(tenant.id, b"picture", "image/png")
    evidence = await seen(intake, tenant, submission_id, str(proof.proof_id))
    fact = submission_events_pb2.SubmissionListed(attempt=1, evidence=evidence)
    await intake.append_to_submission(tenant, submission_id, fact)
    unused = await intake.evidence.put(tenant.id, b"picture", "image/png")
    for caller, name in (
        (stranger, f"{tenant.name}/proofs/{proof.proof_id}"),
        (stranger, f"{stranger.name}/proofs/{proof.proof_id}"),
        (tenant, f"{tenant.name}/proofs/{unused.proof_id}"),
        (tenant, f"{tenant.name}/proofs/{uuid4()}"),
    ):
        refused = await caller.refusal("GetProof", m.GetProofRequest(name=name))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "PROOF_NOT_FOUND")
