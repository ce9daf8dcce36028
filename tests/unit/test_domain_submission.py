"""A submission's state, folded; and the diagram of its states, which must be what the code allows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from services.domain import attempts, submission
from services.domain.attempts import duration, timestamp
from services.domain.retry_policy import RULES, VERIFICATIONS_MAX, Chance
from services.domain.submission import OUTCOME_BY_TYPE, SETTLED, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message

DIAGRAM = Path(__file__).parents[2] / "docs" / "architecture" / "submission_states.md"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
CHANCE = Chance(draw=0.5)
EVIDENCE = facts.Evidence(proof_id="proof-1")


def fold(*messages: Message) -> Submission:
    """Return the state after these events, a second apart."""
    return submission.fold(
        (message, version, START + timedelta(seconds=version))
        for version, message in enumerate(messages, start=1)
    )


def requested(priority: job_pb2.Priority.ValueType = job_pb2.PRIORITY_P3) -> facts.SubmissionRequested:
    """Return the first event of a submission."""
    return facts.SubmissionRequested(
        submission_id="submission-1",
        customer_id="customer-1",
        profile_id="profile-1",
        profile_version=4,
        directory_id="directory-1",
        generation=2,
        job_id="job-1",
        priority=priority,
        attempts_max=6,
    )


def dispatched(purpose: job_pb2.AttemptPurpose.ValueType = job_pb2.ATTEMPT_PURPOSE_SUBMIT) -> Message:
    """Return a dispatch."""
    return facts.SubmissionDispatched(dispatch_id="dispatch-1", queue="p3", purpose=purpose)


def claimed(
    attempt: int = 1, purpose: job_pb2.AttemptPurpose.ValueType = job_pb2.ATTEMPT_PURPOSE_SUBMIT
) -> Message:
    """Return a claim."""
    return facts.SubmissionClaimed(
        worker_id="worker-1", attempt=attempt, purpose=purpose, lease_duration=duration(LEASE)
    )


def test_a_request_waits_and_is_due_at_once():
    """The first event says everything that identifies the submission."""
    state = fold(requested())

    assert state.state == job_pb2.SUBMISSION_STATE_WAITING
    assert state.due_at == state.requested_at == START + timedelta(seconds=1)
    assert (state.jobs, state.generation, state.profile_version) == (("job-1",), 2, 4)


def test_the_fence_is_the_version_of_the_claim():
    """A claim counts the attempt and holds the submission under its own version."""
    state = fold(requested(), dispatched(), claimed())

    assert state.held_by(3)
    assert not state.held_by(2)
    assert (state.claim_version, state.attempts_used, state.worker_id) == (3, 1, "worker-1")


def test_the_highest_priority_of_all_jobs_counts():
    """A starter's submission that an enterprise order joins moves up; joining never moves it down."""
    joined = facts.SubmissionJoined(job_id="job-2", priority=job_pb2.PRIORITY_P1)
    later = facts.SubmissionJoined(job_id="job-3", priority=job_pb2.PRIORITY_P2)

    state = fold(requested(), joined, later)

    assert state.priority == job_pb2.PRIORITY_P1
    assert state.jobs == ("job-1", "job-2", "job-3")


def test_a_permit_lasts_from_its_record_time():
    """The log's time and the permit's length, no clock of a worker, say when the gate closes."""
    permit = facts.SubmitPermitted(valid_duration=duration(timedelta(seconds=30)))

    state = fold(requested(), dispatched(), claimed(), permit)

    assert state.permit_expires_at == START + timedelta(seconds=34)


def test_a_verifier_costs_no_attempt():
    """Looking is counted apart from clicking."""
    look = job_pb2.ATTEMPT_PURPOSE_VERIFY

    state = fold(requested(), dispatched(), claimed(), doubt(), dispatched(look), claimed(2, look))

    assert (state.attempt, state.attempts_used, state.verifications_used) == (2, 1, 1)


def doubt() -> Message:
    """Return a doubt whose verification is due in an hour."""
    return facts.SubmissionUncertain(verify_time=timestamp(START + timedelta(hours=1)), code="answer_unclear")


def test_doubt_outlasts_dispatch_and_claim():
    """Until somebody has looked, no state makes a new click possible."""
    look = job_pb2.ATTEMPT_PURPOSE_VERIFY

    state = fold(requested(), dispatched(), claimed(), doubt(), dispatched(look), claimed(2, look))

    assert state.uncertain
    assert attempts.permit(state, state.claim_version, LEASE) is None


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], job_pb2.SUBMISSION_STATE_WAITING),
        ([dispatched(), claimed(), facts.RetryScheduled()], job_pb2.SUBMISSION_STATE_RETRYING),
        ([dispatched(), claimed(), doubt()], job_pb2.SUBMISSION_STATE_UNCERTAIN),
    ],
)
def test_what_is_put_back_waits_as_it_did_before(
    before: list[Message], expected: job_pb2.SubmissionState.ValueType
):
    """A dispatch that comes to nothing leaves no trace but a later due time."""
    due_at = START + timedelta(minutes=5)
    deferred = facts.SubmissionDeferred(due_time=timestamp(due_at), reason=facts.DEFER_REASON_GAP)

    state = fold(requested(), *before, dispatched(), deferred)

    assert (state.state, state.due_at, state.dispatch_id) == (expected, due_at, "")


def test_a_redriven_dead_letter_starts_counting_anew():
    """An operator's second round has all its attempts again."""
    dead = facts.SubmissionDeadLettered(attempts_used=1, code="http_500")

    state = fold(requested(), dispatched(), claimed(), dead, facts.SubmissionRedriven(reason="again"))

    assert (state.state, state.attempts_used, state.attempt) == (job_pb2.SUBMISSION_STATE_WAITING, 0, 1)


@pytest.mark.parametrize("name", sorted(OUTCOME_BY_TYPE))
def test_every_outcome_settles(name: str):
    """Outcome events end all waiting."""
    outcome = cast("type[Message]", getattr(facts, name))

    state = fold(requested(), dispatched(), claimed(), outcome())

    assert state.settled
    assert (state.state, state.due_at) == (OUTCOME_BY_TYPE[name], None)


def test_proofs_are_kept_in_order():
    """Each attempt's picture stays known, also those of failures."""
    failed = facts.AttemptFailed(code="http_500", evidence=facts.Evidence(proof_id="proof-1"))
    listed = facts.SubmissionListed(evidence=facts.Evidence(proof_id="proof-2"))

    state = fold(requested(), dispatched(), claimed(), failed, facts.RetryScheduled(), listed)

    assert state.proofs == ("proof-1", "proof-2")


def test_an_event_of_no_consequence_moves_the_version_only():
    """FormFilled and AttemptFenced are for the record."""
    before = fold(requested(), dispatched(), claimed())

    after = submission.evolve(before, facts.FormFilled(), 4, START)

    assert (after.version, after.state, after.claim_version) == (4, before.state, before.claim_version)


Edge = tuple[str, str, str]
Step = tuple[str, "Callable[[Submission], Sequence[Message] | None]"]


def failing(error_class: job_pb2.ErrorClass.ValueType) -> Step:
    """Return the failure of the current claim with this class."""

    def decide(state: Submission) -> Sequence[Message] | None:
        failure = facts.AttemptFailed(
            claim_version=state.claim_version, error_class=error_class, code="code", evidence=EVIDENCE
        )
        return attempts.fail(state, failure, START, CHANCE)

    return "fail", decide


def reporting(name: str) -> Step:
    """Return the report of this outcome by the current claim."""
    outcome = cast("type[Message]", getattr(facts, name))
    return "report", lambda state: attempts.report(state, state.claim_version, outcome())


def doubting(state: Submission) -> Sequence[Message] | None:
    """The current claim cannot tell."""
    return attempts.doubt(state, state.claim_version, code="unclear", evidence=None, now=START, chance=CHANCE)


WORKERS_OUTCOMES = sorted(set(OUTCOME_BY_TYPE) - {"SubmissionDeadLettered", "SubmissionCancelled"})
STEPS: Sequence[Step] = (
    (
        "dispatch",
        lambda state: attempts.dispatch(state, "dispatch-1", "p3", datetime.max.replace(tzinfo=UTC)),
    ),
    ("defer", lambda state: attempts.defer(state, state.dispatch_id, START, facts.DEFER_REASON_GAP)),
    ("claim", lambda state: attempts.claim(state, state.dispatch_id, "worker-1", LEASE)),
    ("permit", lambda state: attempts.permit(state, state.claim_version, LEASE)),
    *(reporting(name) for name in WORKERS_OUTCOMES),
    *(failing(error_class) for error_class in RULES),
    ("doubt", doubting),
    (
        "prove_absence",
        lambda state: attempts.prove_absence(state, state.claim_version, EVIDENCE, START, CHANCE),
    ),
    ("reap", lambda state: attempts.reap(state, state.claim_version, LEASE, START, CHANCE)),
    ("cancel", lambda state: attempts.cancel(state, "job-1", 0)),
    ("redrive", lambda state: attempts.redrive(state, "again")),
)


def allowed_edges() -> set[Edge]:
    """Walk every reachable situation and return which decision leads from which state to which."""
    first = fold(requested())
    waiting, seen, edges = [first], {situation(first)}, set[Edge]()
    while waiting:
        before = waiting.pop()
        for name, after in steps_from(before):
            edges.add((state_name(before), state_name(after), name))
            if situation(after) not in seen:
                seen.add(situation(after))
                waiting.append(after)
    return edges


def steps_from(before: Submission) -> Iterator[tuple[str, Submission]]:
    """Yield every decision that is allowed now, with the state after it."""
    for name, decide in STEPS:
        after = before
        for message in decide(before) or ():
            after = submission.evolve(after, message, after.version + 1, START)
        if after is not before:
            yield name, after


def situation(state: Submission) -> tuple[object, ...]:
    """Return what tells one situation from another, as far as decisions look at it."""
    return (
        state.state,
        state.uncertain,
        state.purpose,
        state.attempts_used,
        min(state.verifications_used, VERIFICATIONS_MAX),
        state.permit_expires_at is None,
    )


def state_name(state: Submission) -> str:
    """Return the state as the diagram writes it."""
    return job_pb2.SubmissionState.Name(state.state).removeprefix("SUBMISSION_STATE_")


def drawn_edges() -> set[Edge]:
    """Return the edges of the diagram, one per decision that an arrow names."""
    arrow = re.compile(r"^\s*(\w+) --> (\w+): (.+?)\s*$", re.MULTILINE)
    found = arrow.findall(DIAGRAM.read_text(encoding="utf-8"))
    return {(source, target, name.strip()) for source, target, names in found for name in names.split(",")}


def test_the_diagram_shows_what_the_code_allows():
    """Every arrow of the diagram is possible, and every possible step is an arrow of it."""
    assert drawn_edges() == allowed_edges()


def test_only_a_redrive_leads_out_of_a_settled_state():
    """What is settled stays settled, but for the one act of an operator."""
    settled = {job_pb2.SubmissionState.Name(each).removeprefix("SUBMISSION_STATE_") for each in SETTLED}

    assert {edge for edge in allowed_edges() if edge[0] in settled} == {
        ("DEAD_LETTERED", "WAITING", "redrive")
    }
