"""Reads of the log are themselves recorded in it, in one stream, before what was read goes out.

The payload is protobuf: reader (1), method (2) and scope (3) as strings, count of events (4) as int64;
whoever uses the store declares the same message and reads what the command wrote. Somebody with the
database's password reads without asking us: that only the database's own audit log shows.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from eventstore.types import NewEvent, StreamAppend

if TYPE_CHECKING:
    from eventstore.store import EventStore

READS_STREAM: Final = UUID("3d7a1f52-6a0e-5c7e-8f0a-0c1d5b7e9a24")
READS_CATEGORY: Final = "audit"
READ_TYPE: Final = "AuditLogRead"
SYSTEM_TENANT: Final = UUID(int=0)

_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """Who reads what, and how many events at most."""

    reader: str
    method: str
    scope: str
    events_count: int

    def payload(self) -> bytes:
        """Return the record as protobuf."""
        texts = enumerate((self.reader, self.method, self.scope), 1)
        count = b"\x20" + _varint(self.events_count) if self.events_count else b""
        return b"".join(_string(number, text) for number, text in texts if text) + count


async def record_read(store: EventStore, record: ReadRecord) -> None:
    """Append a record; what was read may go out once this returns.

    Errors: those of EventStore.append.
    """
    event = NewEvent(READ_TYPE, record.payload(), actor=record.reader, ignorable=True)
    await store.append(StreamAppend(READS_STREAM, READS_CATEGORY, SYSTEM_TENANT, [event]))


def operating_system_user() -> str:
    """Return who runs this process, as far as the operating system knows."""
    try:
        return f"os:{getpass.getuser()}"
    except (OSError, KeyError):
        return "os:unknown"


def _string(number: int, text: str) -> bytes:
    content = text.encode()
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > _SEVEN_BITS:
        digits.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    return bytes([*digits, value])
