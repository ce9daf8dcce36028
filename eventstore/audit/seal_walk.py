"""Walks a lane's seals one by one: does each continue the one before, and do database and archive agree?

Where they differ the archive is believed: who owns the database can rewrite what is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.audit.log_seal import NO_SEAL
from eventstore.audit.verdict import Check, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from eventstore.audit.log_seal import LogSeal


class SealWalk:
    """The seals of one lane, taken in the order of their numbers."""

    def __init__(self, lane: int, log_id: UUID, before: LogSeal | None = None) -> None:
        """Take the lane and its log, and the seal before the first that will come."""
        self.last = before
        self.findings: list[Finding] = []
        self._lane = lane
        self._log_id = log_id

    def take(self, number: int, stored: LogSeal | None, kept: LogSeal | None) -> LogSeal | None:
        """Take what database and archive have of a number, and return what is believed."""
        believed = kept or stored
        if believed is None:
            self._find(Check.SEAL_LOST, number, None)
            return None
        if stored is None:
            self._find(Check.SEAL_LOST, number, believed)
        elif kept is not None and stored != kept:
            self._find(Check.SEAL_DIFFERS, number, kept)
        if believed.log_id != self._log_id:
            self._find(Check.SEAL_LOG, number, believed)
        if any(self._breaks(believed, number)):
            self._find(Check.SEAL_CHAIN, number, believed)
        self.last = believed
        return believed

    def _breaks(self, seal: LogSeal, number: int) -> Iterator[bool]:
        last = self.last
        yield (seal.lane, seal.number) != (self._lane, number)
        yield seal.number != (last.number + 1 if last else 1)
        yield seal.from_position != (last.to_position + 1 if last else 1)
        yield seal.to_position < seal.from_position
        yield seal.previous_hash != (last.hash if last else NO_SEAL)
        yield last is not None and seal.sealed_at < last.sealed_at

    def _find(self, check: Check, number: int, seal: LogSeal | None) -> None:
        first = self.last.to_position + 1 if self.last else 1
        end = max(first, seal.to_position) if seal else first
        self.findings.append(Finding(check, self._lane, first, end, number))
