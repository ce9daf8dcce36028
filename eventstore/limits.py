"""What an append may look like, checked before it meets others in a batch: one bad request must harm nobody.

Everything that Postgres would refuse is refused here (lengths, ranges, NUL in text, lone surrogates), with a
sentence that names the field.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from eventstore.errors import InvalidAppend
from eventstore.lanes import lane_of
from eventstore.types import ANY_VERSION, EVENTS_PER_APPEND_MAX, LEDGER_LANE, PAYLOAD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.types import NewEvent, StreamAppend

STREAMS_PER_APPEND_MAX: Final = 64
APPEND_BYTES_MAX: Final = 16 * 1_048_576
NAME_CHARACTERS_MAX: Final = 100
ACTOR_CHARACTERS_MAX: Final = 200
TRACE_PARENT_CHARACTERS_MAX: Final = 200
SCHEMA_VERSION_MAX: Final = 32_767
VERSION_MAX: Final = 2_147_483_647

#: What an event costs beside its payload: identifiers, numbers, indexes.
_EVENT_OVERHEAD_BYTES: Final = 200


def check_append(appends: Sequence[StreamAppend], lanes: int) -> int:
    """Return the lane that an append goes to.

    Errors: InvalidAppend.
    """
    if not 1 <= len(appends) <= STREAMS_PER_APPEND_MAX:
        raise InvalidAppend(f"an append names 1 to {STREAMS_PER_APPEND_MAX} streams, not {len(appends)}")
    if len(appends) > 1 and len({each.stream_id for each in appends}) != len(appends):
        raise InvalidAppend("an append names each stream once")
    for each in appends:
        _check_stream(each)
    events = [event for each in appends for event in each.events]
    if len(events) > EVENTS_PER_APPEND_MAX:
        raise InvalidAppend(f"an append holds at most {EVENTS_PER_APPEND_MAX} events, not {len(events)}")
    if len(events) > 1 and len({event.event_id for event in events}) != len(events):
        raise InvalidAppend("an append names each event id once")
    if size_bytes(events) > APPEND_BYTES_MAX:
        raise InvalidAppend(f"an append holds at most {APPEND_BYTES_MAX} bytes")
    return _single_lane(appends, lanes)


def check_pulse(category: str, event: NewEvent) -> None:
    """Check a pulse.

    Errors: InvalidAppend.
    """
    _check_name("category", category)
    _check_event(event)


def size_bytes(events: Sequence[NewEvent]) -> int:
    """Return about how many bytes the events take on their way to the database."""
    return sum(len(event.payload) + _EVENT_OVERHEAD_BYTES for event in events)


def _single_lane(appends: Sequence[StreamAppend], lanes: int) -> int:
    if lanes == 1:
        return LEDGER_LANE
    found = {lane_of(each.tenant, lanes) for each in appends}
    if len(found) > 1:
        raise InvalidAppend("an append stays within one lane: its tenants belong to several")
    return found.pop()


def _check_stream(append: StreamAppend) -> None:
    _check_name("category", append.category)
    if not ANY_VERSION <= append.expected_version <= VERSION_MAX:
        raise InvalidAppend(f"expected_version is {ANY_VERSION} to {VERSION_MAX}")
    if not append.events:
        raise InvalidAppend("an append holds at least one event per stream")
    for event in append.events:
        _check_event(event)


def _check_event(event: NewEvent) -> None:
    _check_name("event_type", event.event_type)
    if event.actor:
        _check_text("actor", event.actor, ACTOR_CHARACTERS_MAX)
    if event.trace_parent:
        _check_text("trace_parent", event.trace_parent, TRACE_PARENT_CHARACTERS_MAX)
    if len(event.payload) > PAYLOAD_BYTES_MAX:
        raise InvalidAppend(f"payload holds at most {PAYLOAD_BYTES_MAX} bytes, not {len(event.payload)}")
    if not 1 <= event.schema_version <= SCHEMA_VERSION_MAX:
        raise InvalidAppend(f"schema_version is 1 to {SCHEMA_VERSION_MAX}, not {event.schema_version}")


@lru_cache(maxsize=1_024)  # the same few names come with every append
def _check_name(field: str, name: str) -> None:
    if not name:
        raise InvalidAppend(f"{field} is empty")
    _check_text(field, name, NAME_CHARACTERS_MAX)


def _check_text(field: str, text: str, characters_max: int) -> None:
    if len(text) > characters_max:
        raise InvalidAppend(f"{field} holds at most {characters_max} characters, not {len(text)}")
    if "\x00" in text or not _is_unicode(text):
        raise InvalidAppend(f"{field} holds a character that cannot be stored")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
