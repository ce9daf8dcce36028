"""Record one event of each type and version that has none: `python -m tests.histories.record_event`.

A recorded event is read for ever by test_events.py. Its payload is never changed nor written over: it stands
for all the events of this version that lie in somebody's log. Every field of it is filled in.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from services.domain import events

if TYPE_CHECKING:
    from google.protobuf.message import Message

FOLDER = Path(__file__).parent / "events"

_KINDS: dict[int, type[int | float | bool]] = {
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
    FieldDescriptor.CPPTYPE_BOOL: bool,
}


def path_of(event_type: str, schema_version: int) -> Path:
    """Return the file of an event."""
    return FOLDER / f"{event_type}_{schema_version}.json"


def read_as(event_type: str, schema_version: int, payload: bytes) -> dict[str, Any]:
    """Return what today's release reads, in the words of JSON."""
    message = events.decode(event_type, payload, schema_version)
    return MessageToDict(message, preserving_proto_field_name=True)


def filled(message: Message) -> Message:
    """Fill every field that is not deprecated, with what tells it from all others, and return the message."""
    for field in message.DESCRIPTOR.fields:
        if field.GetOptions().deprecated:
            continue
        if field.is_repeated:
            for number in (1, 2):
                _add(getattr(message, field.name), field, number)
        elif field.message_type is not None:
            _fill(getattr(message, field.name), field.number)
        else:
            setattr(message, field.name, _scalar(field, field.number))
    return message


def _fill(message: Message, number: int) -> None:
    if message.DESCRIPTOR.full_name == Timestamp.DESCRIPTOR.full_name:
        message.MergeFrom(Timestamp(seconds=1_800_000_000 + number))
    else:
        filled(message)


def _add(values: Any, field: Any, number: int) -> None:
    if field.message_type is not None:
        _fill(values.add(), number)
    else:
        values.append(_scalar(field, number))


def _scalar(field: Any, number: int) -> object:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    text = f"{field.name} {number}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return text.encode()
    return _KINDS[field.cpp_type](number) if field.cpp_type in _KINDS else text


def record(event_type: str) -> None:
    """Record the version that is written today, unless it is recorded already."""
    schema_version = events.KNOWN.newest(event_type)
    path = path_of(event_type, schema_version)
    if path.exists():
        return
    payload = filled(events.CLASS_BY_TYPE[event_type]()).SerializeToString(deterministic=True)
    recorded = {
        "event_type": event_type,
        "schema_version": schema_version,
        "payload": base64.b64encode(payload).decode(),
        "reads_as": read_as(event_type, schema_version, payload),
    }
    path.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in events.CLASS_BY_TYPE:
        record(each)
