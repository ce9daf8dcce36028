"""What travels between a process and the gateway: appends one way, answers the other, in both directions.

Source: proto/directorybolt/gateway/v1/append_service.proto.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from directorybolt.gateway.v1 import append_service_pb2 as wire

from eventstore.errors import (
    AppendQueueFull,
    EventIdReused,
    EventStoreError,
    InvalidAppend,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.types import Appended, NewEvent, Position, StreamAppend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUESTS_PER_MESSAGE_MAX: Final = 512

_REFUSALS: Final[Mapping[type[EventStoreError], wire.Refusal.ValueType]] = {
    EventIdReused: wire.REFUSAL_EVENT_ID_REUSED,
    InvalidAppend: wire.REFUSAL_INVALID,
    AppendQueueFull: wire.REFUSAL_QUEUE_FULL,
    StoreUnavailable: wire.REFUSAL_UNAVAILABLE,
}
_ERRORS: Final[Mapping[wire.Refusal.ValueType, type[EventStoreError]]] = {
    refusal: kind for kind, refusal in _REFUSALS.items()
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def append_to_wire(number: int, appends: Sequence[StreamAppend]) -> wire.LedgerAppend:
    """Return an append as a client sends it."""
    return wire.LedgerAppend(
        number=number,
        streams=[
            wire.StreamAppend(
                stream_id=each.stream_id.bytes,
                category=each.category,
                tenant=each.tenant.bytes,
                expected_version=each.expected_version,
                events=[_event_to_wire(event) for event in each.events],
            )
            for each in appends
        ],
    )


def pulse_to_wire(
    number: int, stream_id: UUID, category: str, tenant: UUID, event: NewEvent
) -> wire.PulseAppend:
    """Return a pulse as a client sends it."""
    return wire.PulseAppend(
        number=number,
        stream_id=stream_id.bytes,
        category=category,
        tenant=tenant.bytes,
        event=_event_to_wire(event),
    )


def _event_to_wire(event: NewEvent) -> wire.NewEvent:
    return wire.NewEvent(
        event_id=event.event_id.bytes,
        event_type=event.event_type,
        payload=event.payload,
        schema_version=event.schema_version,
        correlation_id=event.correlation_id.bytes if event.correlation_id else b"",
        causation_id=event.causation_id.bytes if event.causation_id else b"",
        trace_parent=event.trace_parent,
        actor=event.actor,
        ignorable=event.ignorable,
    )


def append_from_wire(request: wire.LedgerAppend) -> Sequence[StreamAppend]:
    """Return an append as the gateway received it.

    Errors: InvalidAppend when an id is none.
    """
    return [
        StreamAppend(
            uuid_from_wire(each.stream_id),
            each.category,
            uuid_from_wire(each.tenant),
            [event_from_wire(event) for event in each.events],
            each.expected_version,
        )
        for each in request.streams
    ]


def event_from_wire(event: wire.NewEvent) -> NewEvent:
    """Return an event as the gateway received it.

    Errors: InvalidAppend when an id is none.
    """
    return NewEvent(
        event.event_type,
        event.payload,
        uuid_from_wire(event.event_id),
        event.schema_version,
        uuid_from_wire(event.correlation_id) if event.correlation_id else None,
        uuid_from_wire(event.causation_id) if event.causation_id else None,
        event.trace_parent,
        event.actor,
        ignorable=event.ignorable,
    )


def uuid_from_wire(sixteen: bytes) -> UUID:
    """Return an id.

    Errors: InvalidAppend when it is none.
    """
    try:
        return UUID(bytes=sixteen)
    except ValueError:
        raise InvalidAppend(f"an id has 16 bytes, not {len(sixteen)}") from None


def appended_to_wire(number: int, appended: Appended) -> wire.Answer:
    """Return an answer as the gateway sends it."""
    answer = wire.Answer(number=number)
    told = answer.appended
    told.versions.extend(appended.versions)
    told.lane = appended.position.lane
    told.position = appended.position.number
    told.duplicate = appended.duplicate
    told.record_time.FromDatetime(appended.recorded_at)
    return answer


def pulse_answer(number: int) -> wire.Answer:
    """Return the answer to a pulse that was appended."""
    return wire.Answer(number=number, appended=wire.Appended())


def error_to_wire(number: int, error: EventStoreError) -> wire.Answer:
    """Return a refusal as the gateway sends it."""
    if isinstance(error, WrongExpectedVersion):
        conflict = wire.VersionConflict(
            stream_id=error.stream_id.bytes, expected_version=error.expected, found_version=error.found
        )
        return wire.Answer(number=number, conflict=conflict)
    refusal = _REFUSALS.get(type(error), wire.REFUSAL_UNAVAILABLE)
    return wire.Answer(number=number, refused=wire.Refused(refusal=refusal, description=str(error)))


def appended_from_wire(told: wire.Appended) -> Appended:
    """Return an answer as a client received it."""
    at = told.record_time
    return Appended(
        tuple(told.versions),
        Position(told.lane, told.position),
        _EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1_000),
        duplicate=told.duplicate,
    )


def error_from_wire(answer: wire.Answer) -> EventStoreError:
    """Return the refusal that an answer tells, as the store itself would have raised it."""
    if answer.HasField("conflict"):
        conflict = answer.conflict
        return WrongExpectedVersion(
            UUID(bytes=conflict.stream_id), conflict.expected_version, conflict.found_version
        )
    kind = _ERRORS.get(answer.refused.refusal, StoreUnavailable)
    return kind(answer.refused.description)
