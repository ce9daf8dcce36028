"""A folded submission as JSON and back: what a read model keeps, to go on from with the next event."""

from __future__ import annotations

import base64
from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from directorybolt.event.v1 import submission_events_pb2
from psycopg.types.json import Jsonb

from services.domain.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOMENTS: Final = frozenset({"permit_expires_at", "due_at", "requested_at", "changed_at"})
_LISTS: Final = frozenset({"jobs", "proofs"})


def dump(state: Submission) -> Jsonb:
    """Return a state as a value for a jsonb column."""
    return Jsonb({each.name: _plain(getattr(state, each.name)) for each in fields(state)})


def load(kept: Mapping[str, Any]) -> Submission:
    """Return the state of a jsonb column; a member that it lacks has its default."""
    known = {each.name for each in fields(Submission)}
    return Submission(**{name: _rich(name, value) for name, value in kept.items() if name in known})


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case submission_events_pb2.Evidence():
            return base64.b64encode(value.SerializeToString(deterministic=True)).decode()
        case _:
            return value


def _rich(name: str, value: Any) -> Any:
    if name == "lease":
        return timedelta(seconds=value)
    if value is None:
        return None
    if name in _MOMENTS:
        return datetime.fromisoformat(value)
    if name in _LISTS:
        return tuple(value)
    if name == "evidence":
        return submission_events_pb2.Evidence.FromString(base64.b64decode(value))
    return value
