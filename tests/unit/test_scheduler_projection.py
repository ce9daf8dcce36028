"""What events do to the scheduler's rows, before any database: out of order, doubled, of an old claim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import job_events_pb2, pulse_events_pb2, system_events_pb2
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from eventstore.types import LEDGER_LANE, PULSE_LANE, Position, StoredEvent
from services.domain.attempts import duration
from services.domain.events import DIRECTORY, JOB, SUBMISSION, WORKER, type_of
from services.projections.capacity import capacity_changes
from services.projections.job_progress import fold_jobs, jobs_to_recount, links
from services.projections.leases import lease_changes
from services.projections.work import fold_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SUBMISSION_ID, OTHER_ID = UUID(int=1), UUID(int=2)
JOB_ID, SECOND_JOB_ID = UUID(int=3), UUID(int=4)
CUSTOMER_ID = UUID(int=5)


def stored(
    message: Message, version: int, *, stream_id: UUID = SUBMISSION_ID, category: str = SUBMISSION
) -> StoredEvent:
    """Return an event as the log holds it, so many seconds after the start as its version says.

    Version 0 makes it a pulse.
    """
    return StoredEvent(
        position=Position(LEDGER_LANE if version else PULSE_LANE, max(version, 1)),
        stream_id=stream_id,
        category=category,
        version=version,
        event_id=uuid4(),
        event_type=type_of(message),
        schema_version=1,
        payload=message.SerializeToString(),
        tenant=CUSTOMER_ID,
        correlation_id=JOB_ID,
        causation_id=None,
        trace_parent=f"trace of {version}",
        actor="test",
        recorded_at=START + timedelta(seconds=version),
        hash=b"",
    )


def life(*messages: Message) -> list[StoredEvent]:
    """Return a submission's stream: its request, and what follows."""
    requested = facts.SubmissionRequested(
        submission_id=str(SUBMISSION_ID),
        customer_id=str(CUSTOMER_ID),
        profile_id=str(UUID(int=6)),
        directory_id="yellow",
        generation=1,
        job_id=str(JOB_ID),
        priority=job_pb2.PRIORITY_P2,
        attempts_max=6,
    )
    return [stored(each, version) for version, each in enumerate([requested, *messages], start=1)]


def claim(worker_id: str = "worker-1") -> facts.SubmissionClaimed:
    """Return a claim with a lease of a minute."""
    return facts.SubmissionClaimed(worker_id=worker_id, lease_duration=duration(timedelta(minutes=1)))


def pulse(claim_version: int) -> StoredEvent:
    """Return a pulse of a claim."""
    return stored(pulse_events_pb2.AttemptPulse(claim_version=claim_version), 0)


DISPATCHED = facts.SubmissionDispatched(dispatch_id="dispatch-1", queue="p2")


def test_a_batch_is_folded_row_by_row():
    """The trace stays the request's; the dispatch and the settlement leave their times."""
    steps = fold_steps({}, life(DISPATCHED, claim(), facts.SubmissionListed()))

    row = steps[-1].after
    assert row.state.state == job_pb2.SUBMISSION_STATE_LISTED
    assert row.trace_parent == "trace of 1"
    assert row.dispatched_at == START + timedelta(seconds=2)
    assert row.settled_at == START + timedelta(seconds=4)


def test_what_a_row_has_seen_is_passed_over():
    """A page that is applied again changes nothing."""
    events = life(DISPATCHED, claim())
    row = fold_steps({}, events)[-1].after

    assert fold_steps({SUBMISSION_ID: row}, events) == []


def test_a_settlement_keeps_its_time_when_jobs_join_later():
    joined = facts.SubmissionJoined(job_id=str(SECOND_JOB_ID))

    steps = fold_steps({}, life(DISPATCHED, claim(), facts.SubmissionListed(), joined))

    assert steps[-1].after.settled_at == START + timedelta(seconds=4)


def test_a_claim_opens_a_lease_and_a_result_closes_it():
    events = life(DISPATCHED, claim(), facts.SubmitPermitted(), facts.SubmissionListed())

    opened = lease_changes(fold_steps({}, events[:4]), [])
    closed = lease_changes(fold_steps({}, events), [])

    assert opened.opened[SUBMISSION_ID].claim_version == 3
    assert opened.opened[SUBMISSION_ID].lease_seconds == 60
    assert (closed.opened, closed.closed) == ({}, frozenset({SUBMISSION_ID}))


def test_a_lease_that_is_lost_and_taken_anew_in_one_batch_is_the_new_one():
    lost = [facts.LeaseReaped(claim_version=3), facts.RetryScheduled()]

    changes = lease_changes(fold_steps({}, life(DISPATCHED, claim(), *lost, DISPATCHED, claim("b"))), [])

    assert changes.opened[SUBMISSION_ID].claim_version == 7
    assert changes.closed == frozenset()


def test_pulses_open_no_lease_and_are_kept_apart_by_claim():
    """A worker that lost its claim goes on pulsing; it must not hide the silence of the next one."""
    changes = lease_changes([], [pulse(3), pulse(7), pulse(3)])

    assert changes.opened == {}
    assert changes.pulses == {SUBMISSION_ID: (7, START)}


def test_a_plan_links_what_was_requested_for_the_job():
    planned = job_events_pb2.JobPlanned(
        submissions=[job_events_pb2.PlannedSubmission(submission_id=str(each)) for each in (1, 2)]
    )
    planned.submissions[0].submission_id = str(SUBMISSION_ID)
    planned.submissions[1].submission_id = str(OTHER_ID)
    joined = facts.SubmissionJoined(job_id=str(SECOND_JOB_ID))
    steps = fold_steps({}, life(joined))

    found = links(steps, [stored(planned, 2, stream_id=JOB_ID, category=JOB)])

    assert found == {
        (JOB_ID, SUBMISSION_ID): True,
        (JOB_ID, OTHER_ID): True,
        (SECOND_JOB_ID, SUBMISSION_ID): False,
    }


def test_only_what_settles_or_joins_is_counted_again():
    """A claim changes no count; a settlement changes the counts of all its jobs."""
    joined = facts.SubmissionJoined(job_id=str(SECOND_JOB_ID))
    steps = fold_steps({}, life(joined, DISPATCHED, claim(), facts.SubmissionListed()))

    assert jobs_to_recount(steps[2:4], {}) == frozenset()
    assert jobs_to_recount(steps[4:], {}) == {JOB_ID, SECOND_JOB_ID}


def test_a_job_s_row_follows_its_events():
    events: Sequence[Message] = (
        job_events_pb2.JobAccepted(job_id=str(JOB_ID), priority=job_pb2.PRIORITY_P1),
        job_events_pb2.JobPlanned(),
        job_events_pb2.JobCancelRequested(),
    )
    log = [stored(each, at, stream_id=JOB_ID, category=JOB) for at, each in enumerate(events, start=1)]

    row = fold_jobs({}, log)[JOB_ID]

    assert (row.state, row.planned, row.priority) == (
        job_pb2.JOB_STATE_CANCELLING,
        True,
        job_pb2.PRIORITY_P1,
    )
    assert row.accepted_at == START + timedelta(seconds=1)
    assert fold_jobs({JOB_ID: row}, log) == {}


def test_a_directory_without_politeness_is_treated_gently():
    """One attempt at a time, a second and a half apart, unless the catalogue says otherwise."""
    entry = system_events_pb2.DirectoryCatalogued(
        directory=directory_pb2.Directory(name="directories/yellow", authority=7)
    )

    changes = capacity_changes([], [stored(entry, 1, stream_id=OTHER_ID, category=DIRECTORY)])

    row = changes.directories["yellow"]
    assert (row["attempts_at_once_max"], row["gap_seconds"], row["authority"]) == (1, 1.5, 7)


def test_a_worker_that_comes_back_is_not_gone():
    """Stopped and started again in one batch: it is there, with its new slots."""
    events: Sequence[Message] = (
        system_events_pb2.WorkerStarted(worker_id="w", slots=2),
        system_events_pb2.WorkerStopped(worker_id="w"),
        system_events_pb2.WorkerStarted(worker_id="w", slots=5),
    )
    log = [stored(each, at, stream_id=OTHER_ID, category=WORKER) for at, each in enumerate(events, start=1)]

    changes = capacity_changes([], log)

    assert changes.workers["w"]["slots"] == 5
    assert changes.ended == {}


def test_a_dispatch_and_a_claim_count_as_starts_at_the_directory():
    changes = capacity_changes(fold_steps({}, life(DISPATCHED, claim())), [])

    assert changes.starts == {"yellow": START + timedelta(seconds=3)}
