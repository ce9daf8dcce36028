"""A job: what may happen to it, walked at random and held to its promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from directorybolt.event.v1 import job_events_pb2 as facts
from directorybolt.event.v1.profile_events_pb2 import Sealed
from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.domain import job
from services.domain.submission import SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from services.domain.kinds import State

    Decision = Callable[[job.Job], Sequence[Message] | None]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPTED = facts.JobAccepted(
    job_id="job", customer_id="customer", profile_id="profile", profile_version=3, body_hash=b"hash"
)
STATES = [each for each in job_pb2.SubmissionState.values() if each]
SETTLED_STATES = sorted(SETTLED)


def planned(count: int) -> list[facts.PlannedSubmission]:
    """Return a plan of so many directories."""
    return [facts.PlannedSubmission(submission_id=f"submission-{each}") for each in range(count)]


def accepted() -> job.Job:
    """Return a job that was just accepted."""
    return job.evolve(job.Job(), ACCEPTED, 1, NOW)


def after(state: job.Job, decision: Sequence[Message] | None) -> job.Job:
    """Return the state after a decision."""
    for message in decision or ():
        state = job.evolve(state, message, state.version + 1, NOW + timedelta(seconds=state.version))
    return state


def planning(count: int) -> Decision:
    """Return the wish to plan so many directories."""
    return lambda state: job.plan(state, planned(count))


def cancelling_because(ciphertext: bytes) -> Decision:
    """Return the wish to cancel, with words that only the customer's key opens."""
    return lambda state: job.request_cancel(state, Sealed(ciphertext=ciphertext))


def finishing_with(states: list[State]) -> Decision:
    """Return the wish to finish with these states."""
    return lambda state: job.finish(state, states)


def finishing_as_planned(states: list[State]) -> Decision:
    """Return the wish to finish with as many of these states as there are submissions."""
    return lambda state: job.finish(state, states[: len(state.planned)])


DECISIONS: st.SearchStrategy[Decision] = st.one_of(
    st.integers(0, 5).map(planning),
    st.binary(max_size=20).map(cancelling_because),
    st.lists(st.sampled_from(STATES), max_size=6).map(finishing_with),
    st.lists(st.sampled_from(SETTLED_STATES), max_size=6).map(finishing_as_planned),
)


@given(st.lists(DECISIONS, max_size=12))
def test_however_decisions_follow_each_other_a_job_keeps_its_promises(decisions: list[Decision]):
    state = accepted()
    history: list[tuple[Message, int, datetime]] = [(ACCEPTED, 1, NOW)]
    for decide in decisions:
        before, messages = state, decide(state)
        state = after(state, messages)
        for message in messages or ():
            history.append((message, len(history) + 1, NOW + timedelta(seconds=len(history))))
        assert not (before.finished and messages), "a finished job changes no more"
        assert not before.planned or state.planned == before.planned, "a plan is made once"
        assert state.version == len(history)
        assert (state.final_counts is not None) == state.finished
        assert (state.ended_at is not None) == state.finished
        assert (state.job_id, state.profile_version, state.body_hash) == ("job", 3, b"hash")
        if state.state == job_pb2.JOB_STATE_COMPLETED:
            assert before.state in {job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_COMPLETED}
        if state.state == job_pb2.JOB_STATE_CANCELLED:
            assert before.state in {job_pb2.JOB_STATE_CANCELLING, job_pb2.JOB_STATE_CANCELLED}
    assert job.fold(history).state == state.state


@given(st.lists(st.sampled_from(STATES)))
def test_counts_add_up_to_the_total(states: list[State]):
    counts = job.count(states)
    members = [each.name for each in counts.DESCRIPTOR.fields if each.name != "total"]
    assert counts.total == len(states) == sum(getattr(counts, each) for each in members)
    assert counts.open == sum(each not in SETTLED for each in states)


def test_a_job_finishes_when_every_planned_submission_is_settled():
    running = after(accepted(), job.plan(accepted(), planned(2)))
    listed, waiting = job_pb2.SUBMISSION_STATE_LISTED, job_pb2.SUBMISSION_STATE_WAITING
    assert job.finish(running, [listed]) is None
    assert job.finish(running, [listed, waiting]) is None
    done = after(running, job.finish(running, [listed, listed]))
    assert done.state == job_pb2.JOB_STATE_COMPLETED
    assert done.final_counts == job_pb2.SubmissionCounts(total=2, listed=2)


def test_a_job_that_is_being_cancelled_ends_cancelled():
    running = after(accepted(), job.plan(accepted(), planned(1)))
    cancelling = after(running, job.request_cancel(running, None))
    assert cancelling.state == job_pb2.JOB_STATE_CANCELLING
    assert job.request_cancel(cancelling, None) is None
    ended = after(cancelling, job.finish(cancelling, [job_pb2.SUBMISSION_STATE_CANCELLED]))
    assert ended.state == job_pb2.JOB_STATE_CANCELLED
    assert job.request_cancel(ended, None) is None


@pytest.mark.parametrize("state", [job.Job(), job.Job(version=1, planned=tuple(planned(1)))])
def test_a_job_that_is_not_there_or_has_a_plan_is_not_planned(state: job.Job):
    assert job.plan(state, planned(1)) is None
