"""Walks a range of a lane event by event: is each one there, in its place, unaltered, in the order of time?

The walk also cuts the range where log seals end, and gives the Merkle root of each piece.
"""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventstore.audit.merkle import MerkleTree
from eventstore.audit.raw_events import UnreadableEvent, event_of, read_raw
from eventstore.types import Defect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from psycopg import AsyncConnection

    from eventstore.audit.raw_events import SizedNames


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be walked, and what came directly before it.

    Shape: `previous_hash` None when nobody knows it: then the first event's link is not checked.
    """

    lane: int
    from_position: int
    to_position: int
    previous_hash: bytes | None
    previous_recorded_at: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a range, as it was found."""

    to_position: int
    root: bytes
    end_hash: bytes


@dataclass(slots=True)
class Walked:
    """How far a walk came; with a defect, what did not fit is at `end_position` + 1."""

    end_position: int
    end_hash: bytes | None
    end_recorded_at: int | None
    pieces: list[Piece] = field(default_factory=list[Piece])
    defect: Defect | None = None


async def walk(
    connection: AsyncConnection, names: SizedNames, wanted: Range, cuts: Iterable[int] = ()
) -> Walked:
    """Walk a range; the pieces end at `cuts`, positions in ascending order.

    Errors: psycopg.Error.
    """
    walked = Walked(wanted.from_position - 1, wanted.previous_hash, wanted.previous_recorded_at)
    async with aclosing(read_raw(connection, wanted.lane, wanted.from_position, wanted.to_position)) as rows:
        await _walk_rows(rows, names, walked, cuts)
    if walked.defect is None and walked.end_position < wanted.to_position:
        walked.defect = Defect.GAP
    return walked


async def _walk_rows(
    rows: AsyncIterator[bytes], names: SizedNames, walked: Walked, cuts: Iterable[int]
) -> None:
    ends = iter(cuts)
    end = next(ends, None)
    tree = MerkleTree()
    async for row in rows:
        try:
            event = event_of(row, names)
        except UnreadableEvent:
            walked.defect = Defect.HASH
            return
        walked.defect = _defect(walked, event.position, event.recorded_at, event.leaf, event.hash)
        if walked.defect is not None:
            return
        walked.end_position, walked.end_recorded_at, walked.end_hash = (
            event.position,
            event.recorded_at,
            event.hash,
        )
        if end is None:
            continue
        tree.add(event.leaf)
        if event.position == end:
            walked.pieces.append(Piece(end, tree.root(), event.hash))
            end, tree = next(ends, None), MerkleTree()


def _defect(walked: Walked, position: int, recorded_at: int, leaf: bytes, chained: bytes) -> Defect | None:
    if position != walked.end_position + 1:
        return Defect.GAP
    previous = walked.end_hash
    if previous is not None and hashlib.sha256(previous + leaf).digest() != chained:
        return Defect.HASH
    if walked.end_recorded_at is not None and recorded_at < walked.end_recorded_at:
        return Defect.ORDER
    return None
