"""Events as the database sends them in binary, and their leaves made from those very bytes.

Decoding a row into values and encoding them again would cost three times as much as hashing it, and would not
see a difference that decoding hides.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from eventstore.audit.chain import FORMAT, sized

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import LiteralString

    from psycopg import AsyncConnection

_IN_ORDER: LiteralString = (
    "copy (select position, lane, recorded_at, event_id, stream_id, version, schema_version, tenant,"
    " category, event_type, hash, correlation_id, causation_id, trace_parent, actor, payload from es.event"
    " where lane = %(lane)s and position between %(first)s and %(last)s order by position)"
    " to stdout (format binary)"
)
#: A plan made on a table without statistics would sort; both indexes are in the order that is wanted.
_PLANS: Final[LiteralString] = (
    "select set_config('enable_bitmapscan', 'off', false), set_config('enable_seqscan', 'off', false)"
)
_CATEGORIES: Final[LiteralString] = "select id, name from es.category"
_EVENT_TYPES: Final[LiteralString] = "select id, name from es.event_type"

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00"
_HEADER_BYTES: Final = 19
_TRAILER: Final = b"\xff\xff"

#: Count of columns, then the length of every column of fixed size.
_FRAME: Final = struct.Struct(">hi8xi2xi8xi16xi16xi4xi2xi16xi2xi2xi32x")
_EXPECTED: Final = (16, 8, 2, 8, 16, 16, 4, 2, 16, 2, 2, 32)
_ABSENT: Final = b"\xff\xff\xff\xff"
_UUID_LENGTH: Final = b"\x00\x00\x00\x10"


class UnreadableEvent(ValueError):
    """A row is not of the shape that events have."""


class RawEvent(NamedTuple):
    """What a chain is made of; `recorded_at` in microseconds since the beginning of 2000."""

    position: int
    recorded_at: int
    leaf: bytes
    hash: bytes


class SizedNames(NamedTuple):
    """Categories and event types by the bytes of their number, each name behind its length."""

    categories: Mapping[bytes, bytes]
    event_types: Mapping[bytes, bytes]


async def load_names(connection: AsyncConnection) -> SizedNames:
    """Read both tables of names."""
    return SizedNames(await _sized(connection, _CATEGORIES), await _sized(connection, _EVENT_TYPES))


async def prefer_order(connection: AsyncConnection) -> None:
    """Let the connection read ranges of the log by their index."""
    await connection.execute(_PLANS)


async def read_raw(connection: AsyncConnection, lane: int, first: int, last: int) -> AsyncGenerator[bytes]:
    """Yield the rows of a range in order, as COPY sends them."""
    wanted = {"lane": lane, "first": first, "last": last}
    async with connection.cursor() as cursor, cursor.copy(_IN_ORDER, wanted) as copy:
        async for block in copy:
            row = bytes(block)
            if row.startswith(_HEADER):
                row = row[_HEADER_BYTES:]
            if row not in {_TRAILER, b""}:
                yield row


def event_of(row: bytes, names: SizedNames) -> RawEvent:
    """Return what a row's chain link is made of.

    Errors: UnreadableEvent when it has not the shape of an event, or nobody knows its names any more.
    """
    try:
        if _FRAME.unpack_from(row) != _EXPECTED:
            raise UnreadableEvent
        correlation, at = _optional(row, _FRAME.size)
        causation, at = _optional(row, at)
        fields = (
            *(FORMAT, row[6:14], row[18:20], row[24:32], row[36:52], row[56:72], row[76:80], row[84:86]),
            *(row[90:106], correlation, causation),
            *(names.categories[row[110:112]], names.event_types[row[116:118]], row[at:]),
        )
    except (struct.error, KeyError) as error:
        raise UnreadableEvent from error
    leaf = hashlib.sha256(b"".join(fields)).digest()
    return RawEvent(
        int.from_bytes(row[6:14], signed=True), int.from_bytes(row[24:32], signed=True), leaf, row[122:154]
    )


def _optional(row: bytes, at: int) -> tuple[bytes, int]:
    """Return an identifier as leaves have it, and where the row goes on."""
    length = row[at : at + 4]
    if length == _ABSENT:
        return b"\x00", at + 4
    if length == _UUID_LENGTH:
        return b"\x01" + row[at + 4 : at + 20], at + 20
    raise UnreadableEvent


async def _sized(connection: AsyncConnection, query: LiteralString) -> Mapping[bytes, bytes]:
    cursor = await connection.execute(query)
    return {struct.pack(">h", number): sized(name.encode()) for number, name in await cursor.fetchall()}
