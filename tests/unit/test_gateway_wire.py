"""What goes over the wire to the gateway comes out as it went in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from directorybolt.gateway.v1 import append_service_pb2 as wire
from hypothesis import given
from hypothesis import strategies as st

from eventstore.errors import (
    AppendQueueFull,
    EventIdReused,
    InvalidAppend,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.types import Appended, NewEvent, Position, StreamAppend
from services.runtime.gateway_wire import (
    append_from_wire,
    append_to_wire,
    appended_from_wire,
    appended_to_wire,
    error_from_wire,
    error_to_wire,
    event_from_wire,
    pulse_to_wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.errors import EventStoreError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EVENTS = st.builds(
    NewEvent,
    event_type=TEXT,
    payload=st.binary(max_size=50),
    event_id=st.uuids(),
    schema_version=st.integers(1, 32_767),
    correlation_id=st.none() | st.uuids(),
    causation_id=st.none() | st.uuids(),
    trace_parent=TEXT,
    actor=TEXT,
    ignorable=st.booleans(),
)
APPENDS = st.lists(
    st.builds(
        StreamAppend,
        stream_id=st.uuids(),
        category=TEXT,
        tenant=st.uuids(),
        events=st.lists(EVENTS, max_size=3),
        expected_version=st.integers(-1, 2_147_483_647),
    ),
    max_size=3,
)
ANSWERS = st.builds(
    Appended,
    versions=st.lists(st.integers(1, 2_147_483_647), max_size=4).map(tuple),
    position=st.builds(Position, st.integers(0, 30), st.integers(1, 2**62)),
    recorded_at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    duplicate=st.booleans(),
)


@given(APPENDS)
def test_an_append_arrives_as_it_was_sent(appends: Sequence[StreamAppend]) -> None:
    sent = append_to_wire(7, appends).SerializeToString()

    assert append_from_wire(wire.LedgerAppend.FromString(sent)) == appends


@given(EVENTS)
def test_a_pulse_arrives_as_it_was_sent(event: NewEvent) -> None:
    sent = pulse_to_wire(7, uuid4(), "worker", uuid4(), event).SerializeToString()

    assert event_from_wire(wire.PulseAppend.FromString(sent).event) == event


@given(ANSWERS)
def test_an_answer_arrives_as_it_was_given_to_the_microsecond(appended: Appended) -> None:
    sent = appended_to_wire(7, appended).SerializeToString()

    assert appended_from_wire(wire.Answer.FromString(sent).appended) == appended


@pytest.mark.parametrize(
    "error",
    [
        EventIdReused(),
        InvalidAppend("payload holds too much"),
        AppendQueueFull(),
        StoreUnavailable("the database refused"),
    ],
)
def test_a_refusal_arrives_with_its_kind_and_its_words(error: EventStoreError) -> None:
    found = error_from_wire(error_to_wire(7, error))

    assert (type(found), str(found)) == (type(error), str(error))


def test_a_conflict_arrives_with_all_that_it_knows() -> None:
    error = WrongExpectedVersion(uuid4(), 3, 5)

    found = error_from_wire(error_to_wire(7, error))

    assert isinstance(found, WrongExpectedVersion)
    assert (found.stream_id, found.expected, found.found) == (error.stream_id, 3, 5)
    assert str(found) == str(error)


def test_what_is_no_id_is_refused() -> None:
    request = wire.LedgerAppend(streams=[wire.StreamAppend(stream_id=b"short", tenant=uuid4().bytes)])

    with pytest.raises(InvalidAppend, match="16 bytes, not 5"):
        append_from_wire(request)
