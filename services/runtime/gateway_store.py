"""The event store as a process sees it that appends through the gateway, and reads by itself.

When the gateway is away, appends go straight to the database, with the same event ids: what the gateway had
done already is answered with the first answer. They go through it again as soon as it is back.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from eventstore.errors import StoreUnavailable
from eventstore.limits import check_append, check_pulse
from eventstore.postgres import PostgresEventStore
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE
from services.runtime.archive_storage import open_archive
from services.runtime.gateway_line import GatewayLine
from services.runtime.gateway_queue import GatewayAway
from services.runtime.gateway_wire import (
    append_to_wire,
    appended_from_wire,
    error_from_wire,
    pulse_to_wire,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime
    from uuid import UUID

    from eventstore.archive.object_storage import ObjectStorage
    from eventstore.store import EventStore
    from eventstore.types import Appended, AsOf, Filter, NewEvent, Page, Position, StoredEvent, StreamAppend
    from services.runtime.config import ServiceConfig
    from services.runtime.gateway_queue import Request


class GatewayEventStore:
    """An EventStore whose appends share commits with those of other processes."""

    def __init__(self, store: PostgresEventStore, line: GatewayLine) -> None:
        """Take the store that reads, and appends while the gateway is away."""
        self._store = store
        self._line = line

    @classmethod
    @asynccontextmanager
    async def open(
        cls, conninfo: str, address: str, service_key: str, cold: ObjectStorage | None = None
    ) -> AsyncGenerator[Self]:
        """Open the store; a gateway that is away is no hindrance. `cold` is where archived events are read.

        Errors: StoreUnavailable.
        """
        async with (
            PostgresEventStore.open(conninfo, cold=cold) as store,
            GatewayLine.open(address, service_key) as line,
        ):
            yield cls(store, line)

    @property
    def is_direct(self) -> bool:
        """Whether appends go straight to the database now."""
        return self._line.is_away

    @property
    def lanes(self) -> int:
        """How many lanes the ledger has; see EventStore."""
        return self._store.lanes

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append to one stream, or to several atomically; see EventStore."""
        check_append(appends, self._store.lanes)
        try:
            appended = await self._ask(append_to_wire(self._line.next_number(), appends))
        except (GatewayAway, StoreUnavailable):
            return await self._store.append(*appends)
        self._store.hear(appended.position)
        return appended

    async def append_pulse(self, stream_id: UUID, category: str, tenant: UUID, event: NewEvent) -> None:
        """Append a sign of life to the pulse lane; see EventStore."""
        check_pulse(category, event)
        pulse = pulse_to_wire(self._line.next_number(), stream_id, category, tenant, event)
        try:
            await self._ask(pulse)
        except (GatewayAway, StoreUnavailable):
            await self._store.append_pulse(stream_id, category, tenant, event)

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
        return await self._store.read_stream(
            stream_id, from_version=from_version, limit=limit, tenant=tenant, as_of=as_of
        )

    async def read_all(self, after: Position, *, limit: int = 1_000, only: Filter = EVERYTHING) -> Page:
        """Return what follows a position in its lane; see EventStore."""
        return await self._store.read_all(after, limit=limit, only=only)

    async def head(self, lane: int = LEDGER_LANE) -> Position:
        """Return the last position of a lane; number 0 when it is empty."""
        return await self._store.head(lane)

    async def position_at(self, instant: datetime, lane: int = LEDGER_LANE) -> Position:
        """Return the last position recorded at an instant or before it; see EventStore."""
        return await self._store.position_at(instant, lane)

    async def wait_for_news(self, after: Position, timeout_seconds: float) -> None:
        """Return when there may be something after a position, or after the timeout; see EventStore."""
        await self._store.wait_for_news(after, timeout_seconds)

    async def _ask(self, request: Request) -> Appended:
        """Ask the gateway.

        Errors: GatewayAway; StoreUnavailable when its database does not answer; what the store refuses with.
        """
        answer = await self._line.ask(request)
        if answer.HasField("appended"):
            return appended_from_wire(answer.appended)
        raise error_from_wire(answer)


@asynccontextmanager
async def open_event_store(config: ServiceConfig) -> AsyncGenerator[EventStore]:
    """Open the event store of a service: through the gateway when one is named, else directly.

    Errors: StoreUnavailable, NoSuchStorage.
    """
    url, address = config.database_url, config.gateway_address
    async with open_archive(config.archive_url) as cold:
        opening = (
            GatewayEventStore.open(url, address, config.service_key, cold)
            if address
            else PostgresEventStore.open(url, cold=cold)
        )
        async with opening as store:
            yield store
