"""A folded submission survives being kept as JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from directorybolt.event.v1 import submission_events_pb2
from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.domain.submission import Submission
from services.projections.folded_submission import dump, load

MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))
EVIDENCE = st.none() | st.builds(
    submission_events_pb2.Evidence, proof_id=st.text(max_size=5), sha256=st.binary(max_size=8)
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
SUBMISSIONS = st.builds(
    Submission,
    version=st.integers(0, 1000),
    submission_id=NAMES,
    jobs=st.lists(NAMES, max_size=3).map(tuple),
    proofs=st.lists(NAMES, max_size=3).map(tuple),
    state=st.sampled_from(job_pb2.SubmissionState.values()),
    uncertain=st.booleans(),
    lease=st.integers(0, 10_000_000).map(lambda ms: timedelta(milliseconds=ms)),
    permit_expires_at=MOMENTS,
    due_at=MOMENTS,
    requested_at=MOMENTS,
    changed_at=MOMENTS,
    evidence=EVIDENCE,
)


@given(SUBMISSIONS)
def test_what_is_kept_is_what_comes_back(state: Submission):
    kept = json.loads(json.dumps(dump(state).obj))
    assert load(kept) == state


def test_a_row_of_an_older_release_has_the_default_of_what_it_lacks():
    assert load({"version": 3, "gone": "member"}) == Submission(version=3)


def test_every_member_is_kept():
    kept = dump(Submission(requested_at=datetime(2026, 1, 1, tzinfo=UTC))).obj
    assert set(kept) == {each.name for each in fields(Submission)}
