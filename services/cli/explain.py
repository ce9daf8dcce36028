"""A state told as a story: every event of a job and its submissions in their order, and what each changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from directorybolt.monitor.v1 import state_as_of_pb2
from google.protobuf import json_format
from rich.markup import escape

from services.cli.connection import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from directorybolt.monitor.v1.state_as_of_pb2 import (
        ExplainedState,
        GetStateAsOfResponse,
        StateChange,
        StateStep,
    )
    from rich.console import Console

    from services.cli.connection import Connection

_SHORT_CHARACTERS: Final = 8
_VALUE_CHARACTERS_MAX: Final = 100
#: What the enums of the contract have in front of their names.
_PREFIXES: Final = (
    "SUBMISSION_STATE_",
    "JOB_STATE_",
    "PRIORITY_",
    "PACKAGE_",
    "ATTEMPT_PURPOSE_",
    "ERROR_CLASS_",
)


class Instant(click.ParamType[datetime]):
    """An instant of ISO 8601; without an offset it is UTC, as everything that is printed here."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant that was meant."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"'{value}' is no instant like 2026-11-23T14:05:00Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


async def explain(
    connection: Connection, name: str, *, at: datetime | None, position: str
) -> GetStateAsOfResponse:
    """Return a state and its steps, a job's with those of its submissions."""
    request = state_as_of_pb2.GetStateAsOfRequest(name=name, as_of_position=position, show_submissions=True)
    if at is not None:
        request.as_of_time.FromDatetime(at)
    return await connection.monitor.GetStateAsOf(request, timeout=DEADLINE_SECONDS)


def show(console: Console, answer: GetStateAsOfResponse, *, as_json: bool) -> None:
    """Print the story, or the answer as it came."""
    if as_json:
        click.echo(json_format.MessageToJson(answer, preserving_proto_field_name=True))
        return
    for line in story(answer):
        console.print(line, highlight=False, soft_wrap=True)


def story(answer: GetStateAsOfResponse) -> Iterator[str]:
    """Yield the lines: each stream with its state, then all events by time, each with what it changed."""
    streams = [answer.state, *answer.submissions]
    for each in streams:
        yield _headline(each)
    steps = [(step, each) for each in streams for step in each.steps]
    # Of one append all events have the same time: the order of the streams and of their versions stays.
    steps.sort(key=lambda pair: pair[0].record_time.ToNanoseconds())
    for step, stream in steps:
        yield from _told(step, stream, named=len(streams) > 1)


def _headline(state: ExplainedState) -> str:
    members = {each.field: each.value for each in state.fields}
    where = f" at {members['directory_id']}" if "directory_id" in members else ""
    word = _word(members.get("state", ""))
    return f"[bold]{escape(state.name)}[/bold]{escape(where)}: {word}, version {state.version}"


def _told(step: StateStep, stream: ExplainedState, *, named: bool) -> Iterator[str]:
    at = step.record_time.ToDatetime(tzinfo=UTC)
    whose = f" [dim]{_short(stream.name)}[/dim]" if named else ""
    trace = f" [dim]trace {escape(step.trace_id)}[/dim]" if step.trace_id else ""
    actor = f" by {escape(step.actor)}" if step.actor else ""
    yield ""
    yield f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  [bold]{escape(step.event_type)}[/bold]{whose}{actor}{trace}"
    yield from map(_changed, _in_order(step.changes))


def _in_order(changes: Sequence[StateChange]) -> Sequence[StateChange]:
    """Return the changes, that of the state first: it is what people look for."""
    return sorted(changes, key=lambda each: each.field != "state")


def _changed(change: StateChange) -> str:
    before, after = _word(change.before) or "nothing", _word(change.after) or "nothing"
    return f"    {escape(change.field):<20} {escape(before)} → {escape(after)}"


def _word(value: str) -> str:
    for prefix in _PREFIXES:
        if value.startswith(prefix):
            return value.removeprefix(prefix).replace("_", " ").lower()
    return value if len(value) <= _VALUE_CHARACTERS_MAX else f"{value[:_VALUE_CHARACTERS_MAX]}…"


def _short(name: str) -> str:
    collection, _, last = name.partition("/")
    return f"{collection.removesuffix('s')} {last[:_SHORT_CHARACTERS]}"
