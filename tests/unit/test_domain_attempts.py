"""What may happen to a submission: a random walk of commands, early, late and doubled, keeps the promises.

The walk keeps its own small books on the events that come out, so that the promises are judged by the
history and not by the state that made it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.domain import attempts, submission
from services.domain.events import type_of
from services.domain.retry_policy import ATTEMPTS_MAX, VERIFICATIONS_MAX, Chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
OUTCOMES: Sequence[type[Message]] = (
    facts.SubmissionListed,
    facts.SubmissionPendingReview,
    facts.SubmissionPendingConfirmation,
    facts.SubmissionAlreadyListed,
    facts.SubmissionNeedsHuman,
    facts.SubmissionRefused,
)
OUTCOME_NAMES = {str(each.DESCRIPTOR.name) for each in OUTCOMES}
ENDS_A_CLAIM = OUTCOME_NAMES | {
    "RetryScheduled",
    "SubmissionUncertain",
    "SubmissionDeadLettered",
    "SubmissionCancelled",
    "LeaseReaped",
}
AFTER_A_PERMIT = OUTCOME_NAMES | {
    "AttemptFailed",
    "LeaseReaped",
    "SubmissionUncertain",
    "SubmissionJoined",
}

chances = st.builds(Chance, st.floats(0, 1, exclude_max=True), st.sampled_from([0.01, 1.0]))
error_classes = st.sampled_from([each for each in job_pb2.ErrorClass.values() if each])
jobs = st.sampled_from(["job-1", "job-2", "job-3"])
spans = st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(minutes=2), timedelta(days=8)])


def requested(attempts_max: int = ATTEMPTS_MAX) -> facts.SubmissionRequested:
    """Return the first event of a submission."""
    return facts.SubmissionRequested(
        submission_id="submission-1",
        customer_id="customer-1",
        profile_id="profile-1",
        profile_version=1,
        directory_id="directory-1",
        generation=1,
        job_id="job-1",
        priority=job_pb2.PRIORITY_P2,
        attempts_max=attempts_max,
    )


class Walk(RuleBasedStateMachine):
    """Anybody may try anything at any time; only what `attempts` allows happens."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.state = submission.Submission()
        self.history: list[tuple[Message, int, datetime]] = []
        self.claims = [0]
        self.dispatches = ["never-sent"]

    def happen(self, messages: Sequence[Message] | None) -> None:
        """Record what a decision gave, one event after the other."""
        for message in messages or ():
            version = len(self.history) + 1
            self.history.append((message, version, self.now))
            self.state = submission.evolve(self.state, message, version, self.now)
            if type_of(message) == "SubmissionClaimed":
                self.claims.append(version)

    @initialize(attempts_max=st.integers(1, ATTEMPTS_MAX))
    def ask(self, attempts_max: int) -> None:
        """A job asks for the directory."""
        self.happen([requested(attempts_max)])

    @rule(span=spans)
    def wait(self, span: timedelta) -> None:
        """Time passes."""
        self.now += span

    @rule()
    def dispatch(self) -> None:
        """A scheduler sends it out, perhaps one of two."""
        dispatch_id = f"dispatch-{len(self.history)}"
        sent = attempts.dispatch(self.state, dispatch_id, "p2", self.now)
        if sent:
            self.dispatches.append(dispatch_id)
        self.happen(sent)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        """A worker answers a message, perhaps an old or a doubled one."""
        dispatch_id = data.draw(st.sampled_from(self.dispatches[-3:]))
        self.happen(attempts.claim(self.state, dispatch_id, "worker-1", LEASE))

    @rule(data=st.data())
    def defer(self, data: st.DataObject) -> None:
        """A worker puts it back, or the sweeper finds the dispatch lost."""
        dispatch_id = data.draw(st.sampled_from(self.dispatches[-3:]))
        reason = facts.DEFER_REASON_GAP
        self.happen(attempts.defer(self.state, dispatch_id, self.now + timedelta(seconds=1), reason))

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data())
    def permit(self, data: st.DataObject) -> None:
        """A worker wants to click, perhaps one that lost its lease long ago."""
        self.happen(attempts.permit(self.state, self.claim_of(data), timedelta(seconds=30)))

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def report(self, data: st.DataObject, outcome: type[Message]) -> None:
        """A worker reports what it saw."""
        claim_version = self.claim_of(data)
        fact = outcome(claim_version=claim_version, evidence=facts.Evidence(proof_id="proof"))
        self.happen(attempts.report(self.state, claim_version, fact))

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data(), error_class=error_classes, chance=chances)
    def fail(self, data: st.DataObject, error_class: job_pb2.ErrorClass.ValueType, chance: Chance) -> None:
        """A worker reports a failure."""
        failure = facts.AttemptFailed(
            claim_version=self.claim_of(data), error_class=error_class, code="http_500"
        )
        self.happen(attempts.fail(self.state, failure, self.now, chance))

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data(), chance=chances)
    def doubt(self, data: st.DataObject, chance: Chance) -> None:
        """A worker cannot tell what the site did."""
        self.happen(
            attempts.doubt(
                self.state,
                self.claim_of(data),
                code="answer_unclear",
                evidence=None,
                now=self.now,
                chance=chance,
            )
        )

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data(), chance=chances)
    def prove_absence(self, data: st.DataObject, chance: Chance) -> None:
        """A verifier found nothing."""
        evidence = facts.Evidence(proof_id="proof")
        self.happen(attempts.prove_absence(self.state, self.claim_of(data), evidence, self.now, chance))

    @precondition(lambda self: len(self.claims) > 1)
    @rule(data=st.data(), chance=chances)
    def reap(self, data: st.DataObject, chance: Chance) -> None:
        """A reaper takes a lease away, perhaps one that is over."""
        self.happen(attempts.reap(self.state, self.claim_of(data), LEASE, self.now, chance))

    @rule(job_id=jobs, priority=st.sampled_from([job_pb2.PRIORITY_P1, job_pb2.PRIORITY_P3]))
    def join(self, job_id: str, priority: job_pb2.Priority.ValueType) -> None:
        """A further job wants the same."""
        self.happen(attempts.join(self.state, facts.SubmissionJoined(job_id=job_id, priority=priority)))

    @rule(job_id=jobs, jobs_open=st.sampled_from([0, 0, 1]))
    def cancel(self, job_id: str, jobs_open: int) -> None:
        """A job is cancelled."""
        self.happen(attempts.cancel(self.state, job_id, jobs_open))

    @rule()
    def redrive(self) -> None:
        """An operator sends it round again."""
        self.happen(attempts.redrive(self.state, "the site is back"))

    def claim_of(self, data: st.DataObject) -> int:
        """Return the current claim, or one of those before it."""
        return data.draw(st.sampled_from(self.claims[-3:]))

    def names(self) -> list[str]:
        """Return the types of the history."""
        return [type_of(message) for message, _, _ in self.history]

    @invariant()
    def the_fold_is_the_state(self) -> None:
        """Replaying the history gives what stepping along gave."""
        assert submission.fold(self.history) == self.state

    @invariant()
    def attempts_stay_within_their_limits(self) -> None:
        """An attempt is counted before it runs, so a submission that kills its worker ends too."""
        assert self.state.attempts_used <= max(self.state.attempts_max, 0)
        assert self.state.verifications_used <= VERIFICATIONS_MAX

    @invariant()
    def at_most_one_claim_is_held(self) -> None:
        """No claim before the one before it is over, and no word from a claim that is over."""
        held = 0
        for message, version, _ in self.history:
            name, fence = type_of(message), getattr(message, "claim_version", 0)
            if name == "SubmissionClaimed":
                assert not held
                held = version
                continue
            assert not fence or not held or fence == held, f"{name} of an old claim"
            if name in ENDS_A_CLAIM:
                held = 0

    @invariant()
    def nobody_clicks_while_in_doubt(self) -> None:
        """Between a doubt and a proof of absence there is no permit."""
        doubt = False
        for name in self.names():
            assert not (doubt and name == "SubmitPermitted")
            doubt = name == "SubmissionUncertain" or (doubt and name != "AbsenceProven")

    @invariant()
    def a_permit_ends_in_an_outcome_or_in_doubt(self) -> None:
        """After a permit nothing is cancelled, put back or claimed, and silence is a doubt, not a retry."""
        permitted = reaped = False
        for name in self.names():
            if permitted:
                assert name in AFTER_A_PERMIT
            if reaped:
                assert name in {"SubmissionUncertain", "SubmissionNeedsHuman", "SubmissionJoined"}
            reaped = name == "LeaseReaped" and permitted
            permitted = name == "SubmitPermitted" or (permitted and name == "SubmissionJoined")

    @invariant()
    def whatever_waits_has_a_time(self) -> None:
        """Nothing can lie about unsettled without a due time, a dispatch or a lease."""
        waiting = not self.state.settled and self.state.state not in submission.HELD
        dispatched = self.state.state == job_pb2.SUBMISSION_STATE_DISPATCHED
        assert not self.history or (self.state.due_at is not None) == (waiting and not dispatched)


TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
