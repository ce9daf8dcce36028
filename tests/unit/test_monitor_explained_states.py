"""A state explained step by step ends where the production fold ends, over every recorded history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from directorybolt.monitor.v1 import state_as_of_pb2 as pb

from eventstore.memory import MemoryEventStore
from eventstore.types import Position
from services.domain.errors import InvalidArgument, JobNotFound, SubmissionNotFound
from services.monitor.state_as_of import StateAsOf
from services.monitor.state_as_of_steps import text_of, trace_id_of
from services.runtime.ledger import JOB, SUBMISSION, Ledger
from services.runtime.tokens import TokenSealer
from tests.doubles.manual_clock import ManualClock
from tests.doubles.random_history import FOLDER, Happening, happen, recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HISTORIES = sorted(FOLDER.glob("*.json"))
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENUMS = {"state", "priority", "package", "purpose", "error_class"}


class Past:
    """A store with what happened a second apart, and what explains it."""

    def __init__(self) -> None:
        self.now = START
        self.store = MemoryEventStore(lambda: self.now)
        self.sealer = TokenSealer(b"k" * 32, ManualClock())
        self.state_as_of = StateAsOf(self.store, self.sealer)

    async def happen(self, *happenings: Happening) -> None:
        """Append events, a second after each other."""
        for each in happenings:
            self.now += SECOND
            await happen(self.store, [each])

    async def explain(self, name: str, **asked: object) -> pb.GetStateAsOfResponse:
        """Explain a state."""
        return await self.state_as_of.explain(pb.GetStateAsOfRequest(name=name, **asked))  # pyright: ignore[reportArgumentType]


def members(state: pb.ExplainedState) -> Mapping[str, str]:
    """Return the members of a state that say something."""
    return {each.field: each.value for each in state.fields}


def walked(state: pb.ExplainedState) -> Mapping[str, str]:
    """Return what the steps end at, checking that each goes on from the one before."""
    found: dict[str, str] = {}
    for step in state.steps:
        for change in step.changes:
            assert found.get(change.field, change.before) == change.before
            found[change.field] = change.after
    return found


def name_of(happening: Happening) -> str:
    """Return the resource name of a stream."""
    return f"{happening.category}s/{happening.stream_id}"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_the_steps_end_at_what_the_production_fold_says(path: Path) -> None:
    past, history = Past(), recorded(path)
    await past.happen(*history)
    ledger = Ledger(past.store, "test")
    first = history[0]

    explained = (await past.explain(name_of(first))).state

    aggregate = {"job": JOB, "submission": SUBMISSION}[first.category]
    folded = await ledger.load(aggregate, first.stream_id)  # pyright: ignore[reportArgumentType]
    empty = aggregate.empty()
    shown = members(explained)
    for field in type(folded).__slots__:
        value = getattr(folded, field)
        if field in ENUMS:
            assert (value != getattr(empty, field)) == (field in shown)
        else:
            assert shown.get(field, "") == ("" if value == getattr(empty, field) else text_of(value)), field
    assert explained.version == len(history) == len(explained.steps)
    beside = {"version", "changed_at"}
    last = {field: value for field, value in walked(explained).items() if value}
    told = {field: value for field, value in shown.items() if field not in beside}
    assert {field: last[field] for field in told} == told


@pytest.mark.parametrize("path", HISTORIES[::3], ids=lambda path: path.stem)
async def test_as_of_any_moment_only_what_had_happened_is_known(path: Path) -> None:
    past, history = Past(), recorded(path)
    await past.happen(*history)
    name = name_of(history[0])

    for number in range(1, len(history) + 1):
        prefix = Past()
        await prefix.happen(*history[:number])
        expected = (await prefix.explain(name)).state
        by_token = await past.explain(name, as_of_position=past.sealer.position_token(Position(0, number)))
        by_time = await past.explain(name, as_of_time=START + number * SECOND)

        assert by_token.state.version == by_time.state.version == number
        assert members(by_token.state) == members(by_time.state) == members(expected)
    with pytest.raises((JobNotFound, SubmissionNotFound)):
        await past.explain(name, as_of_time=START)


async def test_a_job_is_shown_with_the_submissions_that_it_had_then() -> None:
    past = Past()
    job, submission = (recorded(FOLDER / f"{each}_retried.json") for each in ("job", "submission"))
    await past.happen(job[0], submission[0], *job[1:], *submission[1:])

    whole = await past.explain(name_of(job[0]), show_submissions=True)
    bare = await past.explain(name_of(job[0]))
    early = await past.explain(name_of(job[0]), show_submissions=True, as_of_time=START + 2 * SECOND)

    assert [each.name for each in whole.submissions] == [name_of(submission[0])]
    assert whole.submissions[0].version == len(submission)
    # Planned only later, though it was requested already.
    assert not bare.submissions
    assert not early.submissions


async def test_a_step_says_who_when_where_and_in_which_trace() -> None:
    past, history = Past(), recorded(FOLDER / "submission_retried.json")
    await past.happen(*history)

    steps = (await past.explain(name_of(history[0]))).state.steps

    failed = next(each for each in steps if each.event_type == "AttemptFailed")
    assert failed.actor == "recorded"
    assert failed.record_time.ToDatetime(UTC) == START + failed.version * SECOND
    assert failed.trace_id == f"{failed.version:032x}"
    assert past.sealer.read_position(failed.position, field="x") == (Position(0, failed.version),)
    assert failed.event_id
    changes = {each.field: (each.before, each.after) for each in failed.changes}
    assert changes["error_class"] == ("", "ERROR_CLASS_TRANSIENT")
    assert changes["code"] == ("", "http_500")
    claimed = next(each for each in steps if each.event_type == "SubmissionClaimed")
    changes = {each.field: (each.before, each.after) for each in claimed.changes}
    assert changes["state"] == ("SUBMISSION_STATE_DISPATCHED", "SUBMISSION_STATE_CLAIMED")
    assert changes["attempts_used"] == ("0", "1")


@pytest.mark.parametrize(
    "request_",
    [
        {"name": "jobs/1"},
        {"name": "workers/00000000-0000-0000-0000-000000000001"},
        {"name": "tenants/x/jobs/00000000-0000-0000-0000-000000000001"},
        {"name": ""},
        {"name": "jobs/00000000-0000-0000-0000-000000000001", "as_of_position": "made up"},
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused(request_: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        await Past().explain(**request_)


async def test_a_moment_is_a_time_or_a_position() -> None:
    past = Past()
    token = past.sealer.position_token(Position(0, 1))
    with pytest.raises(InvalidArgument, match="not both"):
        await past.explain(
            f"jobs/{'0' * 8}-0000-0000-0000-{'0' * 12}", as_of_time=START, as_of_position=token
        )


async def test_a_stream_of_another_kind_is_no_job() -> None:
    past, history = Past(), recorded(FOLDER / "submission_listed.json")
    await past.happen(*history)

    with pytest.raises(JobNotFound):
        await past.explain(f"customers/x/jobs/{history[0].stream_id}")


def test_a_trace_is_read_from_a_whole_header_only() -> None:
    assert trace_id_of("00-" + "a" * 32 + "-" + "b" * 16 + "-01") == "a" * 32
    assert trace_id_of("") == trace_id_of("trace of 1") == ""
