"""Sends batches of appends, and of pulses, to the functions of the database: one statement per batch.

The statement is autocommitted, so a process that freezes or dies between two of its bytes blocks nobody: the
lock lives and dies inside the server. After a lost connection the same event ids are sent again; the
database answers what it has already with the first answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import tuple_row

from eventstore.answer import Answer, accepted, judged
from eventstore.arrays import ByteaArray, IntegerArray, SmallintArray, TextArray, UuidArray
from eventstore.connections import APPEND_ROLE
from eventstore.errors import InvalidAppend, StoreUnavailable
from eventstore.line import Line
from eventstore.types import PULSE_LANE, Appended, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString, TypeAlias
    from uuid import UUID

    from eventstore.arrays import BinaryArray
    from eventstore.names import Names
    from eventstore.types import NewEvent, StreamAppend

    Request: TypeAlias = Sequence[StreamAppend]

_APPEND: LiteralString = (
    "select * from es.append_v2(%b::smallint, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)"
)
_APPEND_PULSE: LiteralString = "select es.append_pulse_v1(%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)"


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life on its way to the pulse lane."""

    stream_id: UUID
    category: str
    tenant: UUID
    event: NewEvent


class LedgerSender:
    """Appends batches to one ledger lane."""

    def __init__(self, conninfo: str, lane: int, names: Names, announce: Callable[[Position], None]) -> None:
        """Take the database, the lane, and whom to tell of the last position of each batch."""
        self._line = Line(conninfo, APPEND_ROLE, f"append {lane}")
        self._lane = lane
        self._names = names
        self._announce = announce

    async def send(self, batch: Sequence[Request]) -> Sequence[Appended | Exception]:
        """Append a batch; see Sender."""
        try:
            row = await self._line.call(lambda connection: self._append(connection, batch))
        except psycopg.Error as error:
            raise _condemned(error) from error
        results = judged(batch, self._lane, row) if row.codes else accepted(batch, self._lane, row)
        written = [each.position for each in results if isinstance(each, Appended) and not each.duplicate]
        if written:
            self._announce(written[-1])
        return results

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _append(self, connection: psycopg.AsyncConnection, batch: Sequence[Request]) -> Answer:
        streams = [each for request in batch for each in request]
        events = [event for each in streams for event in each.events]
        await self._names.intern(connection, {each.category for each in streams}, events)
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        parameters = [self._lane, *self._stream_columns(batch), *_event_columns(events, self._names)]
        await cursor.execute(_APPEND, parameters, prepare=True)
        row = await cursor.fetchone()
        if row is None:
            raise AssertionError("append_v2 answers one row")
        return Answer(*row)

    def _stream_columns(self, batch: Sequence[Request]) -> Sequence[BinaryArray]:
        streams = [each for request in batch for each in request]
        return (
            IntegerArray.of(number for number, request in enumerate(batch, 1) for _ in request),
            UuidArray.of(each.stream_id for each in streams),
            UuidArray.of(each.tenant for each in streams),
            SmallintArray.of(self._names.category_ids[each.category] for each in streams),
            IntegerArray.of(each.expected_version for each in streams),
            IntegerArray.of(len(each.events) for each in streams),
        )


class PulseSender:
    """Appends batches to the pulse lane."""

    def __init__(self, conninfo: str, names: Names, announce: Callable[[Position], None]) -> None:
        """Take the database, and whom to tell of the last position of each batch."""
        self._line = Line(conninfo, APPEND_ROLE, "append pulses")
        self._names = names
        self._announce = announce

    async def send(self, batch: Sequence[Pulse]) -> Sequence[Position | Exception]:
        """Append a batch; see Sender."""
        try:
            last = await self._line.call(lambda connection: self._append(connection, batch))
        except psycopg.Error as error:
            raise _condemned(error) from error
        self._announce(Position(PULSE_LANE, last))
        return [Position(PULSE_LANE, last - len(batch) + number) for number in range(1, len(batch) + 1)]

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _append(self, connection: psycopg.AsyncConnection, batch: Sequence[Pulse]) -> int:
        events = [each.event for each in batch]
        await self._names.intern(connection, {each.category for each in batch}, events)
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        parameters = [
            UuidArray.of(each.stream_id for each in batch),
            UuidArray.of(each.tenant for each in batch),
            SmallintArray.of(self._names.category_ids[each.category] for each in batch),
            *_event_columns(events, self._names),
        ]
        await cursor.execute(_APPEND_PULSE, parameters, prepare=True)
        row = await cursor.fetchone()
        if row is None:
            raise AssertionError("append_pulse_v1 answers one row")
        return row[0]


def _event_columns(events: Sequence[NewEvent], names: Names) -> Sequence[BinaryArray]:
    return (
        UuidArray.of(event.event_id for event in events),
        SmallintArray.of(names.event_type_ids[event.event_type] for event in events),
        SmallintArray.of(event.schema_version for event in events),
        ByteaArray.of(event.payload for event in events),
        UuidArray.of(event.correlation_id for event in events),
        UuidArray.of(event.causation_id for event in events),
        TextArray.of(event.trace_parent for event in events),
        TextArray.of(event.actor for event in events),
    )


def _condemned(error: psycopg.Error) -> Exception:
    """Return what the callers of a batch are told that the database refused for good."""
    if isinstance(error, psycopg.DataError):
        return InvalidAppend(f"the database refused the append: {error}")
    return StoreUnavailable(f"the database refused to append: {error}")
