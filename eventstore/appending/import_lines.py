"""Reads events from NDJSON, one a line, for an import; a line that is not understood is named."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from eventstore.appending.import_events import ImportRefused
from eventstore.errors import InvalidAppend
from eventstore.types import ANY_VERSION, NO_STREAM, NewEvent, StreamAppend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_BLOCK_BYTES: Final = 1_048_576
_EXPECTED: Final = {"any": ANY_VERSION, "no stream": NO_STREAM}
_NEEDED: Final = frozenset({"stream_id", "category", "tenant", "event_id", "event_type", "payload"})
_OPTIONAL: Final = frozenset(
    {"expected", "schema_version", "correlation_id", "causation_id", "trace_parent", "actor", "ignorable"}
)


async def read_lines(path: Path) -> AsyncIterator[StreamAppend]:
    """Yield one append per line.

    Errors: ImportRefused with the number of the line; OSError.
    """
    number = 0
    with await asyncio.to_thread(path.open, "rb") as file:
        while lines := await asyncio.to_thread(file.readlines, _BLOCK_BYTES):
            for line in lines:
                number += 1
                yield _read(number, line)


def count_lines(path: Path) -> int:
    """Return how many lines there are."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _read(number: int, line: bytes) -> StreamAppend:
    try:
        return _append(_fields(json.loads(line)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ImportRefused(number, InvalidAppend(str(error))) from None
    except RecursionError:
        raise ImportRefused(number, InvalidAppend("nested too deep")) from None


def _fields(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("a line is a JSON object")
    return cast("Mapping[str, Any]", found)


def _append(given: Mapping[str, Any]) -> StreamAppend:
    if missing := _NEEDED - given.keys():
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    if strange := given.keys() - _NEEDED - _OPTIONAL:
        raise ValueError(f"{', '.join(sorted(strange))} not understood")
    expected = given.get("expected", "any")
    if expected not in _EXPECTED:
        raise ValueError('expected is "any" or "no stream"')
    return StreamAppend(
        stream_id=_identifier(given, "stream_id"),
        category=_text(given, "category"),
        tenant=_identifier(given, "tenant"),
        events=[_event(given)],
        expected_version=_EXPECTED[expected],
    )


def _event(given: Mapping[str, Any]) -> NewEvent:
    return NewEvent(
        event_type=_text(given, "event_type"),
        payload=_payload(given),
        event_id=_identifier(given, "event_id"),
        schema_version=_whole_number(given, "schema_version", 1),
        correlation_id=_identifier(given, "correlation_id") if given.get("correlation_id") else None,
        causation_id=_identifier(given, "causation_id") if given.get("causation_id") else None,
        trace_parent=_text(given, "trace_parent"),
        actor=_text(given, "actor"),
        ignorable=given.get("ignorable", False) is True,
    )


def _identifier(given: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(given[name])
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{name} is not a UUID") from None


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name, "")
    if not isinstance(text, str):
        raise TypeError(f"{name} is not a text")
    return text


def _whole_number(given: Mapping[str, Any], name: str, default: int) -> int:
    number = given.get(name, default)
    if type(number) is not int:
        raise TypeError(f"{name} is not a whole number")
    return number


def _payload(given: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(_text(given, "payload"), validate=True)
    except ValueError:
        raise ValueError("payload is not base64") from None
