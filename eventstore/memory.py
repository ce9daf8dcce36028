"""The event store in memory: the same promises without a database, for unit tests and simulations.

Time comes from the clock it is given; nothing in it waits but `wait_for_news`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eventstore.audit.chain import GENESIS, link
from eventstore.errors import EventIdReused, InvalidAppend, WrongExpectedVersion
from eventstore.limits import check_append, check_pulse
from eventstore.store import EVERYTHING
from eventstore.types import (
    LEDGER_LANE,
    PULSE_LANE,
    Appended,
    Filter,
    Page,
    Position,
    StoredEvent,
    StreamAppend,
    is_as_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.types import AsOf, NewEvent


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was appended together, and the answer that it got."""

    keys: list[tuple[UUID, UUID]]
    answer: Appended


class MemoryEventStore:
    """An EventStore that lives and dies with the process."""

    def __init__(self, now: Callable[[], datetime], *, lanes: int = 1) -> None:
        """Take the clock, and the number of lanes."""
        self._now = now
        self._lanes = lanes
        self._logs: defaultdict[int, list[StoredEvent]] = defaultdict(list)
        self._streams: defaultdict[UUID, list[StoredEvent]] = defaultdict(list)
        self._answers: dict[UUID, _Answered] = {}
        self._ignorable: dict[str, bool] = {}
        self._news = asyncio.Event()

    @property
    def lanes(self) -> int:
        """How many lanes the ledger has; see EventStore."""
        return self._lanes

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append to one stream, or to several atomically; see EventStore."""
        lane = check_append(appends, self._lanes)
        first = self._first_answer(appends)
        if first is not None:
            return replace(first, duplicate=True)
        for each in appends:
            self._check_head(each)
        recorded_at = self._next_instant(lane)
        for each in appends:
            for event in each.events:
                self._add(lane, each, event, recorded_at)
        answer = Appended(
            versions=tuple(len(self._streams[each.stream_id]) for each in appends),
            position=Position(lane, len(self._logs[lane])),
            recorded_at=recorded_at,
        )
        self._remember(appends, answer)
        self._announce()
        return answer

    async def append_pulse(self, stream_id: UUID, category: str, tenant: UUID, event: NewEvent) -> None:
        """Append a sign of life to the pulse lane; see EventStore."""
        check_pulse(category, event)
        position = Position(PULSE_LANE, len(self._logs[PULSE_LANE]) + 1)
        pulse = StreamAppend(stream_id, category, tenant, [event])
        recorded_at = self._next_instant(PULSE_LANE)
        self._logs[PULSE_LANE].append(self._stored(position, pulse, event, recorded_at))
        self._announce()

    async def read_stream(
        self,
        stream_id: UUID,
        *,
        from_version: int = 1,
        limit: int = 1_000,
        tenant: UUID | None = None,
        as_of: AsOf = None,
    ) -> Sequence[StoredEvent]:
        """Return a stream's events, oldest first; see EventStore."""
        events = self._streams.get(stream_id, [])[max(from_version - 1, 0) :][:limit]
        return [
            event for event in events if (tenant is None or event.tenant == tenant) and is_as_of(event, as_of)
        ]

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Return what follows a position in its lane; see EventStore."""
        log = self._logs[after.lane]
        wanted: list[StoredEvent] = []
        for event in log[after.number :]:
            if only.wants(event):
                wanted.append(event)
            if len(wanted) == limit:
                return Page(wanted, event.position)
        return Page(wanted, Position(after.lane, max(len(log), after.number)))

    async def head(self, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane; number 0 when it is empty."""
        return Position(lane, len(self._logs[lane]))

    async def position_at(self, instant: datetime, lane: int = LEDGER_LANE) -> Position:
        """Return the last position recorded at an instant or before it; see EventStore."""
        return Position(lane, bisect_right(self._logs[lane], instant, key=lambda event: event.recorded_at))

    async def wait_for_news(self, after: Position, timeout_seconds: float) -> None:
        """Return when something stands after a position, or after the timeout; see EventStore."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while len(self._logs[after.lane]) <= after.number:
                    await self._news.wait()
        except TimeoutError:
            return

    def _first_answer(self, appends: Sequence[StreamAppend]) -> Appended | None:
        keys = _keys(appends)
        known = [self._answers[event_id] for _, event_id in keys if event_id in self._answers]
        if not known:
            return None
        if known[0].keys != keys:
            raise EventIdReused
        return known[0].answer

    def _check_head(self, append: StreamAppend) -> None:
        stream = self._streams.get(append.stream_id, [])
        if stream and (stream[0].tenant, stream[0].category) != (append.tenant, append.category):
            raise InvalidAppend(f"stream {append.stream_id} belongs to another tenant or category")
        if append.expected_version >= 0 and append.expected_version != len(stream):
            raise WrongExpectedVersion(append.stream_id, append.expected_version, len(stream))

    def _next_instant(self, lane: int) -> datetime:
        log = self._logs[lane]
        return max(self._now(), log[-1].recorded_at) if log else self._now()

    def _add(self, lane: int, append: StreamAppend, event: NewEvent, recorded_at: datetime) -> None:
        log, stream = self._logs[lane], self._streams[append.stream_id]
        position = Position(lane, len(log) + 1)
        bare = self._stored(position, append, event, recorded_at)
        numbered = replace(bare, version=len(stream) + 1)
        chained = replace(numbered, hash=link(log[-1].hash if log else GENESIS, numbered))
        log.append(chained)
        stream.append(chained)

    def _stored(
        self, position: Position, append: StreamAppend, event: NewEvent, recorded_at: datetime
    ) -> StoredEvent:
        return StoredEvent(
            position=position,
            stream_id=append.stream_id,
            category=append.category,
            version=0,
            event_id=event.event_id,
            event_type=event.event_type,
            schema_version=event.schema_version,
            payload=event.payload,
            tenant=append.tenant,
            correlation_id=event.correlation_id,
            causation_id=event.causation_id,
            trace_parent=event.trace_parent,
            actor=event.actor,
            recorded_at=recorded_at,
            hash=b"",
            ignorable=self._ignorable.setdefault(event.event_type, event.ignorable),
        )

    def _remember(self, appends: Sequence[StreamAppend], answer: Appended) -> None:
        answered = _Answered(_keys(appends), answer)
        self._answers.update((event_id, answered) for _, event_id in answered.keys)

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _keys(appends: Sequence[StreamAppend]) -> list[tuple[UUID, UUID]]:
    return [(each.stream_id, event.event_id) for each in appends for event in each.events]
