"""A history folded again, in a form that can be kept in a file and compared."""

from __future__ import annotations

import base64
import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from services.domain import events, job, submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDS = {"submission": submission.fold, "job": job.fold}


def replayed(aggregate: str, history: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the state after a history, each member as text."""
    steps = [
        (
            events.decode(each["event_type"], base64.b64decode(each["payload"]), each["schema_version"]),
            version,
            datetime.fromisoformat(each["recorded_at"]),
        )
        for version, each in enumerate(history, start=1)
    ]
    state = FOLDS[aggregate](steps)
    return {field.name: _text(getattr(state, field.name)) for field in dataclasses.fields(state)}


def _text(value: object) -> str:
    if isinstance(value, Message):
        return value.SerializeToString(deterministic=True).hex()
    if isinstance(value, tuple):
        return "[" + ", ".join(_text(each) for each in value) + "]"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
