"""Cuts the log into chunks that several processes can check side by side.

A chunk begins where a log seal ended, so that what came before is known from the seal, not from a row that
somebody may have changed. The log is never held: seals are read in pages, chunks are made as they are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eventstore.audit import log_extent, seal_table
from eventstore.audit.chunk import Chunk
from eventstore.audit.seal_walk import SealWalk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.audit.log_extent import Archived
    from eventstore.audit.log_seal import LogSeal
    from eventstore.audit.seal_archive import SealArchive
    from eventstore.audit.verdict import Finding

EVENTS_PER_CHUNK: Final = 50_000


@dataclass(slots=True)
class LanePlan:
    """The chunks of one lane, and what was noticed while they were made."""

    connection: AsyncConnection
    lane: int
    head: int
    archived: Sequence[Archived]
    seals: SealArchive | None
    keys: frozenset[bytes]
    findings: list[Finding] = field(default_factory=list["Finding"])
    sealed_to: int = 0

    async def chunks(self, from_position: int = 1) -> AsyncGenerator[Chunk]:
        """Yield the chunks from the one that covers a position to the last event.

        Errors: SealConflict; psycopg.Error.
        """
        number = await self._number_before(from_position)
        walk = await self._walk_from(number)
        self.sealed_to = walk.last.to_position if walk.last else 0
        async for each in self._sealed(walk, number):
            yield each
        self.findings += walk.findings
        async for each in self._tail(walk.last, from_position):
            yield each

    async def _number_before(self, position: int) -> int:
        """Return the number of the last seal that ends before a position; 0 when there is none."""
        if position == 1:
            return 0
        covering = await seal_table.seal_covering(self.connection, self.lane, position)
        if covering is not None:
            return covering.number - 1
        last = await seal_table.last_seal(self.connection, self.lane)
        return last.number if last else 0

    async def _walk_from(self, number: int) -> SealWalk:
        log_id = await seal_table.log_id(self.connection)
        if not number:
            return SealWalk(self.lane, log_id)
        kept = (await self._kept(range(number, number + 1)))[number]
        stored = await seal_table.seals_after(self.connection, self.lane, number - 1, limit=1)
        return SealWalk(self.lane, log_id, kept or stored[0])

    async def _sealed(self, walk: SealWalk, after: int) -> AsyncGenerator[Chunk]:
        gathered: list[LogSeal] = []
        before = walk.last
        async for number, stored, kept in self._pairs(after):
            seal = walk.take(number, stored, kept)
            if seal is None:
                continue
            if gathered and self._is_full(gathered, seal):
                yield self._chunk(before, gathered)
                before, gathered = gathered[-1], []
            gathered.append(seal)
        if gathered:
            yield self._chunk(before, gathered)

    async def _pairs(self, after: int) -> AsyncGenerator[tuple[int, LogSeal | None, LogSeal | None]]:
        """Yield number by number what the database and the archive have."""
        kept_last = await self.seals.last_number(self.lane) if self.seals else 0
        while True:
            page = await seal_table.seals_after(self.connection, self.lane, after)
            window = range(after + 1, after + seal_table.SEALS_PER_PAGE + 1)
            stored = {each.number: each for each in page if each.number in window}
            last = max(max(stored, default=after), min(kept_last, window[-1]))
            if last == after and not page:
                return
            if last == after:
                # A hole so wide is one finding, not a million.
                yield after + 1, None, None
                after = page[0].number - 1
                continue
            kept = await self._kept(range(after + 1, last + 1))
            for number, each in kept.items():
                yield number, stored.get(number), each
            after = last

    async def _kept(self, numbers: range) -> Mapping[int, LogSeal | None]:
        """Return what the archive has; what it has not got yet is no loss, it is brought there soon."""
        if self.seals is None:
            return dict.fromkeys(numbers)
        return dict(zip(numbers, await self.seals.read(self.lane, numbers), strict=True))

    def _is_full(self, gathered: Sequence[LogSeal], following: LogSeal) -> bool:
        first, last = gathered[0], gathered[-1]
        return (
            following.to_position - first.from_position >= EVENTS_PER_CHUNK
            or following.from_position != last.to_position + 1
            or self._is_hot(following) != self._is_hot(first)
        )

    def _is_hot(self, seal: LogSeal) -> bool:
        return not log_extent.is_archived(self.archived, seal.from_position)

    def _chunk(self, before: LogSeal | None, seals: Sequence[LogSeal]) -> Chunk:
        first, last = seals[0], seals[-1]
        continues = before is not None and before.to_position + 1 == first.from_position
        self.sealed_to = max(self.sealed_to, last.to_position)
        return Chunk(
            lane=self.lane,
            from_position=first.from_position,
            to_position=last.to_position,
            end_hash_before=self._vouched(before) if before and continues else None,
            seals=seals,
            keys=self.keys,
            is_hot=self._is_hot(first),
        )

    def _vouched(self, seal: LogSeal) -> bytes | None:
        """Return the hash that a seal ends with, unless somebody changed the seal."""
        is_ours = not self.keys or seal.public_key in self.keys
        return seal.end_hash if is_ours and seal.is_signed() else None

    async def _tail(self, last: LogSeal | None, from_position: int) -> AsyncGenerator[Chunk]:
        """Yield what has no seal yet."""
        first = max(from_position, last.to_position + 1 if last else 1)
        known = self._vouched(last) if last and last.to_position + 1 == first else None
        archived_until = log_extent.archived_until(self.archived)
        if first < archived_until:
            yield Chunk(self.lane, first, archived_until - 1, known, is_hot=False)
            first = archived_until
            known = await log_extent.archived_end_hash(self.connection, self.lane, first)
        while first <= self.head:
            end = min(self.head, first + EVENTS_PER_CHUNK - 1)
            yield Chunk(self.lane, first, end, known)
            first, known = end + 1, None
