"""Runs a projection: takes its lease, applies page after page, saves rows and checkpoint together.

The transactions need not wait for the disk (synchronous_commit off): what a crash takes is rows and
checkpoint alike, and both come again from the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from eventstore.connections import backoff, connect
from eventstore.errors import LeaseLost, StoreUnavailable
from eventstore.projection import Lease, ProjectionProgress, forget
from eventstore.subscription import EVENTS_PER_PAGE, Subscription
from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from eventstore.projection import Projection
    from eventstore.store import EventStore
    from eventstore.types import Page

LEASE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
_RELEASE_SECONDS_MAX: Final = 2.0

#: What passes by itself when the database is back.
_TROUBLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    StoreUnavailable,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaneProgress:
    """How far a projection is in one lane."""

    position: Position
    head: Position

    @property
    def lag(self) -> int:
        """Events that it has not seen yet."""
        return max(0, self.head.number - self.position.number)


class Projector:
    """The loop that keeps one read model up to date; of several, one runs and the others stand by."""

    def __init__(
        self,
        store: EventStore,
        conninfo: str,
        projection: Projection,
        *,
        role: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        page_max: int = EVENTS_PER_PAGE,
    ) -> None:
        """Take the store to read, the database of the rows, and the projection.

        `role` is what the rows are written as; it needs membership in `es_project`. None: the login.
        """
        self.projection = projection
        self._store = store
        self._conninfo = conninfo
        self._role = role
        self._poll_seconds = poll_seconds
        self._page_max = page_max
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease = Lease(projection.name, projection.version, holder, lease_seconds)
        self._progress = ProjectionProgress(conninfo, projection.name, projection.version)
        self._stopping = asyncio.Event()

    @property
    def holder(self) -> str:
        """The name under which it holds the lease: host, process, and a number of its own."""
        return self._lease.holder

    async def run(self) -> None:
        """Project until `stop`; wait out the database's troubles and other holders.

        Errors: HoleInLog, and whatever the projection raises that is no passing trouble.
        """
        pauses = backoff()
        try:
            while not self._stopping.is_set():
                try:
                    await self._hold_and_follow()
                    pauses = backoff()
                except LeaseLost:
                    _log.warning("projection %s was taken over", self.projection.name)
                except _TROUBLE as trouble:
                    _log.warning("projection %s waits: %s", self.projection.name, trouble)
                    await self._pause(await anext(pauses))
        finally:
            await self.close()

    async def close(self) -> None:
        """Close what `progress` and `wait_until` opened; `run` does so when it ends."""
        await self._progress.close()

    def stop(self) -> None:
        """Ask `run` to finish the page under way and return."""
        self._stopping.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run inside of the context; stop, and raise what `run` raised, on the way out."""
        task = asyncio.create_task(self.run(), name=f"projector {self.projection.name}")
        try:
            yield
        finally:
            self.stop()
            await task

    async def replay(self) -> None:
        """Forget rows and checkpoints in one transaction; whoever runs it begins at the beginning.

        Errors: psycopg.Error.
        """
        async with await connect(self._conninfo, self._role, f"replay {self.projection.name}") as connection:
            await forget(connection, self.projection)

    async def progress(self) -> Sequence[LaneProgress]:
        """Return how far the projection is in each of its lanes, whoever runs it.

        Errors: StoreUnavailable, ConnectionLost.
        """
        positions = await self._progress.positions()
        return [
            LaneProgress(Position(lane, positions.get(lane, 0)), await self._store.head(lane))
            for lane in self.projection.lanes
        ]

    async def wait_until(self, position: Position, timeout_seconds: float | None = None) -> None:
        """Return when every event up to a position is in the rows, whoever runs it.

        Errors: TimeoutError when `timeout_seconds` pass before.
        """
        await self._progress.wait_until(position, timeout_seconds)

    async def _hold_and_follow(self) -> None:
        purpose = f"project {self.projection.name}"
        async with await connect(self._conninfo, self._role, purpose) as connection:
            await self._prepare(connection)
            held = await self._lease.taken(connection)
            while held is None:
                await self._pause(min(self._lease.lease_seconds / 3, self._poll_seconds))
                if self._stopping.is_set():
                    return
                held = await self._lease.taken(connection)
            lease, positions = held
            subscription = Subscription(
                self._store,
                self.projection.lanes,
                positions,
                only=self.projection.only,
                page_max=self._page_max,
            )
            try:
                await self._follow(connection, lease, subscription)
            finally:
                await self._release(connection, lease)

    async def _prepare(self, connection: psycopg.AsyncConnection) -> None:
        """Have the database end what a frozen process holds open: its rows would stay locked."""
        milliseconds = str(int(self._lease.lease_seconds * 1_000))
        await connection.execute(
            "select set_config('idle_in_transaction_session_timeout', %s, false),"
            " set_config('synchronous_commit', 'off', false)",
            [milliseconds],
        )

    async def _follow(
        self, connection: psycopg.AsyncConnection, lease: Lease, subscription: Subscription
    ) -> None:
        # Idle, it renews as often as it polls: so it also notices a take-over or a replay soon.
        loop = asyncio.get_running_loop()
        renew_seconds = min(self._poll_seconds, lease.lease_seconds / 3)
        renew_at = loop.time() + renew_seconds
        while not self._stopping.is_set():
            page = await subscription.next_page()
            if page is not None:
                await self._apply(connection, lease, page)
                subscription.move(page)
            elif loop.time() >= renew_at:
                await lease.save(connection, None)
            else:
                await self._until_stopped(subscription.wait_for_news, renew_at - loop.time())
                continue
            renew_at = loop.time() + renew_seconds

    async def _apply(self, connection: psycopg.AsyncConnection, lease: Lease, page: Page) -> None:
        async with connection.transaction():
            if page.events:
                await self.projection.apply(connection, page.events)
            await lease.save(connection, page.scanned)

    async def _pause(self, seconds: float) -> None:
        await self._until_stopped(asyncio.sleep, seconds)

    async def _until_stopped(self, wait: Callable[[float], Any], seconds: float) -> None:
        waiting = asyncio.ensure_future(wait(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    async def _release(self, connection: psycopg.AsyncConnection, lease: Lease) -> None:
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS_MAX):
                await lease.release(connection)
