"""The hash chain: which bytes of an event its hash covers.

`hash = sha256(previous hash || leaf)` and `leaf = sha256(fields)`. The fields are position, lane, time,
identity, stream, version, schema version, tenant, correlation, causation, then category, type, trace
parent, actor and payload, each behind its length. Category and type enter as names, so that renaming one in
the database is found. `es.leaf_v1` computes the same bytes; the contract tests compare the two.
"""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uuid import UUID

    from eventstore.types import StoredEvent

#: What the first event of a lane is chained to.
GENESIS: Final = bytes(32)

#: What every leaf begins with.
FORMAT: Final = b"\x01"

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIXED = struct.Struct(">qhq16s16sih16s")
_LENGTH = struct.Struct(">i")


def link(previous: bytes, event: StoredEvent) -> bytes:
    """Return the hash of an event from its predecessor's hash; the event's own `hash` is not looked at."""
    return hashlib.sha256(previous + leaf(event)).digest()


def leaf(event: StoredEvent) -> bytes:
    """Return the digest of one event by itself."""
    digest = hashlib.sha256(_fixed_fields(event))
    digest.update(_optional(event.correlation_id))
    digest.update(_optional(event.causation_id))
    for text in (event.category, event.event_type, event.trace_parent, event.actor):
        digest.update(sized(text.encode()))
    digest.update(sized(event.payload))
    return digest.digest()


def microseconds(instant: datetime) -> int:
    """Return an instant as Postgres keeps it: microseconds since the beginning of 2000, UTC."""
    return (instant - _POSTGRES_EPOCH) // _MICROSECOND


def instant(since_2000_microseconds: int) -> datetime:
    """Return the instant that so many microseconds stand for."""
    return _POSTGRES_EPOCH + since_2000_microseconds * _MICROSECOND


def _fixed_fields(event: StoredEvent) -> bytes:
    return FORMAT + _FIXED.pack(
        event.position.number,
        event.position.lane,
        microseconds(event.recorded_at),
        event.event_id.bytes,
        event.stream_id.bytes,
        event.version,
        event.schema_version,
        event.tenant.bytes,
    )


def _optional(identifier: UUID | None) -> bytes:
    return b"\x00" if identifier is None else b"\x01" + identifier.bytes


def sized(field: bytes) -> bytes:
    """Return a field behind its length."""
    return _LENGTH.pack(len(field)) + field
