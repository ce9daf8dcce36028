"""Events as rows of a binary COPY, for the table that `es.open_import_v1` makes.

By hand, because it is a join of bytes: psycopg would adapt sixteen values a row one by one.
Source: PostgreSQL documentation, COPY, Binary Format.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventstore.names import Names
    from eventstore.types import NewEvent, StreamAppend

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = struct.pack(">h", -1)
_FIELDS: Final = 16
#: The field count, then number, request, ordinal, count, expected, stream, tenant, category, event id, event
#: type and schema version, each behind its length.
_FIXED: Final = struct.Struct(">hiiiiihihiii16si16sihi16sihih")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)
_UUID_LENGTH: Final = _LENGTH.pack(16)
_ROWS_PER_BLOCK: Final = 500


def encode_rows(appends: Sequence[StreamAppend], names: Names) -> Iterator[bytes]:
    """Yield what COPY reads: the numbers of events and of appends begin with 1."""
    parts = [_SIGNATURE]
    number = 0
    for request, append in enumerate(appends, 1):
        category = names.category_ids[append.category]
        for ordinal, event in enumerate(append.events, 1):
            number += 1
            parts.append(_fixed(append, event, (number, request, ordinal), category, names))
            parts.append(_variable(event))
        if len(parts) > 2 * _ROWS_PER_BLOCK:
            yield b"".join(parts)
            parts = []
    parts.append(_TRAILER)
    yield b"".join(parts)


def _fixed(
    append: StreamAppend, event: NewEvent, place: tuple[int, int, int], category: int, names: Names
) -> bytes:
    number, request, ordinal = place
    return _FIXED.pack(
        *(_FIELDS, 4, number, 4, request, 2, ordinal, 2, len(append.events), 4, append.expected_version),
        *(16, append.stream_id.bytes, 16, append.tenant.bytes, 2, category, 16, event.event_id.bytes),
        *(2, names.event_type_ids[event.event_type], 2, event.schema_version),
    )


def _variable(event: NewEvent) -> bytes:
    return b"".join(
        (
            _optional(event.correlation_id),
            _optional(event.causation_id),
            _sized(event.trace_parent.encode()),
            _sized(event.actor.encode()),
            _sized(event.payload),
        )
    )


def _optional(identifier: UUID | None) -> bytes:
    return _NULL if identifier is None else _UUID_LENGTH + identifier.bytes


def _sized(field: bytes) -> bytes:
    return _LENGTH.pack(len(field)) + field
