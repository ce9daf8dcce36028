"""Writes batches of appends, and of pulses, down for the functions of the database: one statement per batch.

The statement is autocommitted, so a process that freezes or dies between two of its bytes blocks nobody: the
lock lives and dies inside the server. After a lost connection the same event ids are sent again; the
database answers what it has already with the first answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstore.appending.answer import read_answer, read_lone_answer
from eventstore.appending.arrays import ByteaArray, IntegerArray, SmallintArray, TextArray, UuidArray
from eventstore.types import PULSE_LANE, Appended, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg.pq.abc import PGresult

    from eventstore.appending.answer import LedgerRequest
    from eventstore.appending.sender import Call
    from eventstore.names import Names
    from eventstore.types import NewEvent, StreamAppend

_PREPARE_ONE: LiteralString = (
    "prepare one(smallint, uuid, uuid, smallint, integer, uuid, smallint, smallint, bytea, uuid, uuid,"
    " text, text)"
    " as select * from es.append_one_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
)
_PREPARE_MANY: LiteralString = (
    "prepare many(smallint, integer[], uuid[], uuid[], smallint[], integer[], integer[],"
    " uuid[], smallint[], smallint[], bytea[], uuid[], uuid[], text[], text[])"
    " as select * from es.append_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
)
_PREPARE_PULSES: LiteralString = (
    "prepare pulses(uuid[], uuid[], smallint[],"
    " uuid[], smallint[], smallint[], bytea[], uuid[], uuid[], text[], text[])"
    " as select es.append_pulse_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
)
_SMALLINT: Final = struct.Struct(">h")
_INTEGER: Final = struct.Struct(">i")
_BIGINT: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life on its way to the pulse lane."""

    stream_id: UUID
    category: str
    tenant: UUID
    event: NewEvent


class LedgerLetter:
    """How a batch of appends to one ledger lane is written down, and its answer read."""

    prepare: Sequence[LiteralString] = (_PREPARE_ONE, _PREPARE_MANY)

    def __init__(self, lane: int, names: Names, announce: Callable[[Position], None]) -> None:
        """Take the lane, the numbers of names, and whom to tell of the last position of each batch."""
        self.purpose = f"append {lane}"
        self._lane = lane
        self._lane_encoded = _SMALLINT.pack(lane)
        self._names = names
        self._announce = announce
        self._newest = 0

    def encode(self, batch: Sequence[LedgerRequest]) -> Call:
        """Return what to call: one event by itself has a function of its own; see Letter."""
        if len(batch) == 1 and batch[0].is_one_event:
            return b"one", self._encode_one(batch[0].appends[0])
        return b"many", self._encode_many(batch)

    def _encode_one(self, append: StreamAppend) -> Sequence[bytes | None]:
        event = append.events[0]
        return (
            self._lane_encoded,
            append.stream_id.bytes,
            append.tenant.bytes,
            _SMALLINT.pack(self._names.category_ids[append.category]),
            _INTEGER.pack(append.expected_version),
            event.event_id.bytes,
            _SMALLINT.pack(self._names.event_type_ids[event.event_type]),
            _SMALLINT.pack(event.schema_version),
            event.payload,
            None if event.correlation_id is None else event.correlation_id.bytes,
            None if event.causation_id is None else event.causation_id.bytes,
            event.trace_parent.encode(),
            event.actor.encode(),
        )

    def _encode_many(self, batch: Sequence[LedgerRequest]) -> Sequence[bytes]:
        streams = [each for request in batch for each in request.appends]
        events = [event for each in streams for event in each.events]
        category_ids = self._names.category_ids
        return [
            self._lane_encoded,
            IntegerArray.of(
                [number for number, request in enumerate(batch, 1) for _ in request.appends]
            ).encoded,
            UuidArray.of([each.stream_id for each in streams]).encoded,
            UuidArray.of([each.tenant for each in streams]).encoded,
            SmallintArray.of([category_ids[each.category] for each in streams]).encoded,
            IntegerArray.of([each.expected_version for each in streams]).encoded,
            IntegerArray.of([len(each.events) for each in streams]).encoded,
            *_event_columns(events, self._names),
        ]

    def decode(self, batch: Sequence[LedgerRequest], result: PGresult) -> Sequence[Appended | Exception]:
        """Return what became of each append; see Letter."""
        if len(batch) == 1 and batch[0].is_one_event:
            told = [read_lone_answer(batch[0], self._lane, result)]
        else:
            told = read_answer(batch, self._lane, result)
        for each in reversed(told):
            if isinstance(each, Appended) and each.position.number > self._newest:
                self._newest = each.position.number
                self._announce(each.position)
                break
        return told

    def lost(self, batch: Sequence[LedgerRequest]) -> None:
        """Remember how far the lane was before these, which may stand now; see Letter."""
        for request in batch:
            if request.lost_after is None:
                request.lost_after = self._newest

    def names_in(self, batch: Sequence[LedgerRequest]) -> tuple[set[str], Sequence[NewEvent]]:
        """Return the categories and the events of a batch; see Letter."""
        streams = [each for request in batch for each in request.appends]
        return {each.category for each in streams}, [event for each in streams for event in each.events]


class PulseLetter:
    """How a batch of pulses is written down, and its answer read."""

    purpose = "append pulses"
    prepare: Sequence[LiteralString] = (_PREPARE_PULSES,)

    def __init__(self, names: Names, announce: Callable[[Position], None]) -> None:
        """Take the numbers of names, and whom to tell of the last position of each batch."""
        self._names = names
        self._announce = announce

    def encode(self, batch: Sequence[Pulse]) -> Call:
        """Return the parameters of append_pulse_v1; see Letter."""
        category_ids = self._names.category_ids
        return b"pulses", [
            UuidArray.of([each.stream_id for each in batch]).encoded,
            UuidArray.of([each.tenant for each in batch]).encoded,
            SmallintArray.of([category_ids[each.category] for each in batch]).encoded,
            *_event_columns([each.event for each in batch], self._names),
        ]

    def decode(self, batch: Sequence[Pulse], result: PGresult) -> Sequence[Position | Exception]:
        """Return the position of each pulse; see Letter."""
        last = _BIGINT.unpack(result.get_value(0, 0) or b"")[0]
        self._announce(Position(PULSE_LANE, last))
        return [Position(PULSE_LANE, last - len(batch) + number) for number in range(1, len(batch) + 1)]

    def lost(self, batch: Sequence[Pulse]) -> None:
        """Do nothing: a pulse that is sent twice is two pulses; see Letter."""

    def names_in(self, batch: Sequence[Pulse]) -> tuple[set[str], Sequence[NewEvent]]:
        """Return the categories and the events of a batch; see Letter."""
        return {each.category for each in batch}, [each.event for each in batch]


def _event_columns(events: Sequence[NewEvent], names: Names) -> Sequence[bytes]:
    event_type_ids = names.event_type_ids
    return (
        UuidArray.of([event.event_id for event in events]).encoded,
        SmallintArray.of([event_type_ids[event.event_type] for event in events]).encoded,
        SmallintArray.of([event.schema_version for event in events]).encoded,
        ByteaArray.of([event.payload for event in events]).encoded,
        UuidArray.of([event.correlation_id for event in events]).encoded,
        UuidArray.of([event.causation_id for event in events]).encoded,
        TextArray.of([event.trace_parent for event in events]).encoded,
        TextArray.of([event.actor for event in events]).encoded,
    )
