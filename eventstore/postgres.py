"""The event store on Postgres: joins the appender, the reader and the wake-up of one process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from eventstore.appending.answer import LedgerRequest
from eventstore.appending.appender import LedgerLetter, Pulse, PulseLetter
from eventstore.appending.coalescer import Coalescer
from eventstore.appending.sender import WireSender
from eventstore.archive.cold_reader import ColdReader
from eventstore.archive.whole_log import WholeLog
from eventstore.following.wake_up import Announcer, Listener
from eventstore.instants import position_at_or_before
from eventstore.limits import check_append, check_pulse, size_bytes
from eventstore.names import Names
from eventstore.reader import Reader
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter, Page, Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.types import Appended, AsOf, NewEvent, StoredEvent, StreamAppend

QUEUE_MAX = 10_000
PATIENCE_SECONDS = 10.0


class PostgresEventStore:
    """An EventStore in a Postgres database that `python -m eventstore migrate` has prepared."""

    def __init__(
        self, conninfo: str, *, queue_max: int, patience_seconds: float, cold: ObjectStorage | None = None
    ) -> None:
        """Take the database; `open` is the way to get one that works."""
        self._conninfo = conninfo
        self._queue_max = queue_max
        self._patience_seconds = patience_seconds
        self._lanes = 1
        self._names = Names()
        self._reader = Reader(conninfo, self._names, patience_seconds)
        self._log = WholeLog(self._reader, ColdReader(cold, self._names, self._reader.ask))
        self._announcer = Announcer(conninfo)
        self._listener = Listener(conninfo)
        self._ledger: dict[int, Coalescer[LedgerRequest, Appended]] = {}
        self._pulses = Coalescer[Pulse, Position](
            WireSender(conninfo, PulseLetter(self._names, self._announce), self._names),
            queue_max=queue_max,
            patience_seconds=patience_seconds,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        conninfo: str,
        *,
        queue_max: int = QUEUE_MAX,
        patience_seconds: float = PATIENCE_SECONDS,
        cold: ObjectStorage | None = None,
    ) -> AsyncGenerator[Self]:
        """Open the store; on leaving, what was queued is sent first.

        `cold` is where archived events are read; without it a read that needs them fails with EventsArchived.
        Units: `patience_seconds` is how long a call waits for a database that is away. The number of lanes
        is the database's own.
        Errors: StoreUnavailable.
        """
        store = cls(conninfo, queue_max=queue_max, patience_seconds=patience_seconds, cold=cold)
        try:
            store._lanes = await store._reader.open()
            yield store
        finally:
            await store._close()

    @property
    def lanes(self) -> int:
        """How many lanes the ledger has; see EventStore."""
        return self._lanes

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append to one stream, or to several atomically; see EventStore."""
        lane = check_append(appends, self._lanes)
        events = [event for each in appends for event in each.events]
        event_ids = frozenset(event.event_id for event in events)
        stream_ids = frozenset(each.stream_id for each in appends)
        request = LedgerRequest(appends)
        return await self._coalescer(lane).submit(request, event_ids, size_bytes(events), stream_ids)

    async def append_pulse(self, stream_id: UUID, category: str, tenant: UUID, event: NewEvent) -> None:
        """Append a sign of life to the pulse lane; see EventStore."""
        check_pulse(category, event)
        pulse = Pulse(stream_id, category, tenant, event)
        await self._pulses.submit(pulse, frozenset([event.event_id]), size_bytes([event]))

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
        return await self._log.stream(stream_id, from_version, limit, tenant, as_of)

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Return what follows a position in its lane; see EventStore."""
        return await self._log.page(after, limit, only)

    async def head(self, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane; number 0 when it is empty."""
        return await self._reader.head(lane)

    async def position_at(self, instant: datetime, lane: int = LEDGER_LANE) -> Position:
        """Return the last position recorded at an instant or before it; see EventStore."""
        found = await self._reader.position_at(instant, lane)
        if lane == PULSE_LANE:
            return found
        return await position_at_or_before(self, instant, found)

    async def wait_for_news(self, after: Position, timeout_seconds: float) -> None:
        """Return when there may be something after a position, or after the timeout; see EventStore."""
        await self._listener.wait(after, timeout_seconds)

    def hear(self, position: Position) -> None:
        """Take note that somebody appended up to a position: whoever waits for news here is woken at once."""
        self._listener.hear(position)

    def _coalescer(self, lane: int) -> Coalescer[LedgerRequest, Appended]:
        if lane not in self._ledger:
            self._ledger[lane] = Coalescer(
                WireSender(self._conninfo, LedgerLetter(lane, self._names, self._announce), self._names),
                queue_max=self._queue_max,
                patience_seconds=self._patience_seconds,
            )
        return self._ledger[lane]

    def _announce(self, position: Position) -> None:
        self._listener.hear(position)
        self._announcer.announce(position)

    async def _close(self) -> None:
        for each in self._ledger.values():
            await each.close()
        await self._pulses.close()
        await self._announcer.close()
        await self._listener.close()
        await self._reader.close()
