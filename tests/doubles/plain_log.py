"""What an event log is, in plain lists and dictionaries: the model that real stores are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from eventstore.types import ANY_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.types import Filter, NewEvent, StoredEvent, StreamAppend

#: What was sent together, and what it was told.
Answer: TypeAlias = "tuple[list[tuple[UUID, UUID]], tuple[int, ...], int]"
#: Versions of the streams, last position, whether it is a repeat; or the name of a refusal.
Outcome: TypeAlias = "tuple[tuple[int, ...], int, bool] | str"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: its place is its index in the list."""

    stream_id: UUID
    version: int
    event_id: UUID
    event_type: str
    category: str
    tenant: UUID

    @classmethod
    def of(cls, stored: StoredEvent) -> Entry:
        """Return what a store's event says."""
        return cls(
            stored.stream_id,
            stored.version,
            stored.event_id,
            stored.event_type,
            stored.category,
            stored.tenant,
        )

    def wanted(self, only: Filter) -> bool:
        """Return whether a filter lets it pass."""
        return (
            (not only.categories or self.category in only.categories)
            and (not only.event_types or self.event_type in only.event_types)
            and (only.tenant is None or self.tenant == only.tenant)
            and (only.partitions is None or only.partitions.have(self.stream_id))
        )


@dataclass
class PlainLog:
    """A ledger and its pulses, and what was answered."""

    ledger: list[Entry] = field(default_factory=list[Entry])
    pulses: list[Entry] = field(default_factory=list[Entry])
    answers: dict[UUID, Answer] = field(default_factory=dict[UUID, "Answer"])

    def append(self, appends: Sequence[StreamAppend]) -> Outcome:
        """Append, or refuse."""
        keys = [(each.stream_id, sent.event_id) for each in appends for sent in each.events]
        known = [self.answers[event_id] for _, event_id in keys if event_id in self.answers]
        if known:
            first_keys, versions, position = known[0]
            return (versions, position, True) if first_keys == keys else "EventIdReused"
        for each in appends:
            refusal = self._refusal(each)
            if refusal:
                return refusal
        for each in appends:
            self.ledger += [
                self._entry(each, sent, self.version(each.stream_id) + number)
                for number, sent in enumerate(each.events, 1)
            ]
        versions = tuple(self.version(each.stream_id) for each in appends)
        self.answers.update((event_id, (keys, versions, len(self.ledger))) for _, event_id in keys)
        return versions, len(self.ledger), False

    def beat(self, pulse: StreamAppend) -> None:
        """Append pulses."""
        self.pulses += [self._entry(pulse, sent, 0) for sent in pulse.events]

    def stream(self, stream_id: UUID, until: int | None = None) -> list[Entry]:
        """Return a stream, or as it was when `until` was the last position."""
        return [each for each in self.ledger[:until] if each.stream_id == stream_id]

    def version(self, stream_id: UUID) -> int:
        """Return a stream's version."""
        return len(self.stream(stream_id))

    def _refusal(self, append: StreamAppend) -> str:
        stream = self.stream(append.stream_id)
        if stream and (stream[0].tenant, stream[0].category) != (append.tenant, append.category):
            return "InvalidAppend"
        if append.expected_version not in (ANY_VERSION, len(stream)):
            return f"WrongExpectedVersion {append.stream_id} {len(stream)}"
        return ""

    def _entry(self, append: StreamAppend, sent: NewEvent, version: int) -> Entry:
        return Entry(
            append.stream_id, version, sent.event_id, sent.event_type, append.category, append.tenant
        )
