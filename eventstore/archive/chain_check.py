"""Holds events of one lane against the chain and the log seals, one after the other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg.rows import tuple_row

from eventstore.archive.session import ArchiveRefused
from eventstore.audit.chain import leaf
from eventstore.audit.merkle import MerkleTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

_LANES: LiteralString = (
    "select lane, es.hash_before_v1(lane, %(first)s) from es.lane where lane >= 0 order by lane"
)
_SEALS: LiteralString = (
    "select number, to_position, root, end_hash from es.log_seal"
    " where lane = %(lane)s and to_position between %(first)s and %(last)s order by number"
)
_IS_SEALED: LiteralString = "select exists (select from es.log_seal where lane = %(lane)s)"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a log seal says of a range of a lane."""

    number: int
    to_position: int
    root: bytes
    end_hash: bytes


@dataclass(frozen=True, slots=True)
class LaneRange:
    """The positions of a partition in one lane, what they are chained to, and the log seals over them."""

    lane: int
    first_position: int
    last_position: int
    hash_before: bytes
    seals: Sequence[Seal]


class ChainCheck:
    """Follows a lane's events from the hash before them to the end."""

    def __init__(self, lane_range: LaneRange) -> None:
        """Take what is known of the range."""
        self.range = lane_range
        self.end_hash = lane_range.hash_before
        self._next_position = lane_range.first_position
        self._recorded_at: datetime | None = None
        self._seals = list(reversed(lane_range.seals))
        self._tree = MerkleTree()

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Take the next events.

        Errors: ArchiveRefused naming the first position that does not fit.
        """
        for event in events:
            digest = leaf(event)
            chained = hashlib.sha256(self.end_hash + digest).digest()
            if (
                (event.position.lane, event.position.number) != (self.range.lane, self._next_position)
                or event.hash != chained
                or (self._recorded_at is not None and event.recorded_at < self._recorded_at)
            ):
                raise self._refusal()
            self._tree.add(digest)
            self.end_hash = chained
            self._recorded_at = event.recorded_at
            self._compare_seal()
            self._next_position += 1

    def finish(self) -> None:
        """Say that there is no more.

        Errors: ArchiveRefused when the range is not at its end.
        """
        if self._next_position != self.range.last_position + 1 or self._seals:
            raise self._refusal()

    def _compare_seal(self) -> None:
        if self._seals and self._seals[-1].to_position == self._next_position:
            seal = self._seals.pop()
            if (seal.root, seal.end_hash) != (self._tree.root(), self.end_hash):
                raise ArchiveRefused(
                    f"lane {self.range.lane}: log seal {seal.number} does not fit the events up to position"
                    f" {seal.to_position}"
                )
            self._tree = MerkleTree()

    def _refusal(self) -> ArchiveRefused:
        return ArchiveRefused(
            f"lane {self.range.lane}: position {self._next_position} does not fit the chain"
        )


async def lane_ranges(connection: AsyncConnection, first: int, last: int) -> Sequence[LaneRange]:
    """Return what is known of positions in each lane.

    Errors: ArchiveRefused when a lane has log seals, but they do not reach the end.
    """
    ranges: list[LaneRange] = []
    for lane, hash_before in await _rows(connection, _LANES, first=first):
        if hash_before is None:
            raise ArchiveRefused(f"lane {lane}: nobody knows what position {first} is chained to")
        seals = [Seal(*row) for row in await _rows(connection, _SEALS, lane=lane, first=first, last=last)]
        sealed = await _rows(connection, _IS_SEALED, lane=lane)
        if sealed[0][0] and (not seals or seals[-1].to_position != last):
            raise ArchiveRefused(f"lane {lane}: the log seals do not reach position {last} yet")
        ranges.append(LaneRange(lane, first, last, hash_before, seals))
    return ranges


async def _rows(connection: AsyncConnection, query: LiteralString, **wanted: Any) -> Sequence[Any]:
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(query, wanted)
    return await cursor.fetchall()
