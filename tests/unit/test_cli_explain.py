"""How a state's story reads on a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
import pytest
from directorybolt.monitor.v1 import state_as_of_pb2 as pb
from rich.console import Console

from services.cli.explain import Instant, show, story

AT = datetime(2026, 11, 23, 14, 20, 33, 202155, tzinfo=UTC)


def step(second: int, event_type: str, *changes: tuple[str, str, str], actor: str = "") -> pb.StateStep:
    """Return a step."""
    made = pb.StateStep(version=second, event_type=event_type, actor=actor, trace_id="ab" * 16)
    made.record_time.FromDatetime(AT.replace(second=second))
    for field, before, after in changes:
        made.changes.append(pb.StateChange(field=field, before=before, after=after))
    return made


ANSWER = pb.GetStateAsOfResponse(
    state=pb.ExplainedState(
        name="jobs/11111111-2222",
        version=2,
        fields=[pb.StateField(field="state", value="JOB_STATE_RUNNING")],
        steps=[
            step(1, "JobAccepted", ("job_id", "", "x"), ("state", "", "JOB_STATE_ACCEPTED")),
            step(4, "JobPlanned"),
        ],
    ),
    submissions=[
        pb.ExplainedState(
            name="submissions/33333333-4444",
            version=1,
            fields=[pb.StateField(field="directory_id", value="[bold]yellow")],
            steps=[step(3, "SubmissionRequested", ("code", "y" * 300, ""), actor="scheduler")],
        )
    ],
)


def test_the_story_is_told_in_the_order_of_time():
    lines = list(story(ANSWER))

    told = [line.split("[bold]")[1].split("[/bold]")[0] for line in lines if line.startswith("2026")]
    assert told == ["JobAccepted", "SubmissionRequested", "JobPlanned"]
    assert lines[2:5] == [
        "",
        "2026-11-23 14:20:01.202  [bold]JobAccepted[/bold] [dim]job 11111111[/dim] [dim]trace "
        + "ab" * 16
        + "[/dim]",
        "    state                nothing → accepted",
    ]
    assert any(" by scheduler" in line for line in lines)
    assert any(line.endswith(f"{'y' * 100}… → nothing") for line in lines)


def test_what_events_say_is_no_markup(capsys: pytest.CaptureFixture[str]):
    show(Console(), ANSWER, as_json=False)

    assert "submissions/33333333-4444 at [bold]yellow: , version 1" in capsys.readouterr().out


def test_json_is_the_answer_as_it_came(capsys: pytest.CaptureFixture[str]):
    show(Console(), ANSWER, as_json=True)

    printed = json.loads(capsys.readouterr().out)
    assert printed["state"]["steps"][0]["changes"][1]["after"] == "JOB_STATE_ACCEPTED"


def test_an_instant_without_an_offset_is_utc():
    kind = Instant()
    assert kind.convert("2026-11-23T14:20:33", None, None).tzinfo == UTC
    assert kind.convert("2026-11-23T14:20:33+02:00", None, None).utcoffset() is not None
    with pytest.raises(click.BadParameter, match="no instant"):
        kind.convert("yesterday", None, None)
