"""Runs a projection: takes its partitions, applies page after page, saves rows and checkpoints together.

The transactions need not wait for the disk (synchronous_commit off): what a crash takes is rows and
checkpoint alike, and both come again from the log. While one page is applied the next one is read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstore.connections import connect
from eventstore.following.applying import Applier
from eventstore.following.failing import FailurePolicy, Retries
from eventstore.following.parked import ParkedEvents
from eventstore.following.projection import forget
from eventstore.following.shared_loop import LEASE_SECONDS, POLL_SECONDS, Follower, Plan
from eventstore.following.subscription import EVENTS_PER_PAGE_MAX
from eventstore.rebuild.rebuildable import conninfo_of_rows
from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.following.partitions import Holding
    from eventstore.following.projection import Projection
    from eventstore.following.subscription import Subscription
    from eventstore.store import EventStore
    from eventstore.types import Page, StoredEvent

#: A page that takes longer is followed by a smaller one.
PAGE_SECONDS_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class LaneProgress:
    """How far a projection is in one lane, with all of its partitions."""

    position: Position
    head: Position

    @property
    def lag(self) -> int:
        """Events that it has not seen yet."""
        return max(0, self.head.number - self.position.number)


class Projector(Follower):
    """The loop that keeps one read model up to date, together with others of the same projection.

    The projection is cut into partitions by stream; the processes that run it share them fairly, and each
    is held by one at a time. With one partition, the default, one runs and the others stand by.
    """

    def __init__(
        self,
        store: EventStore,
        conninfo: str,
        projection: Projection,
        *,
        role: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        page_max: int = EVENTS_PER_PAGE_MAX,
        partitions: int = 1,
        policy: FailurePolicy = FailurePolicy.PAUSE,
        retries: Retries | None = None,
        release: str = "",
        knows: Callable[[StoredEvent], bool] | None = None,
    ) -> None:
        """Take the store to read, the database of the rows, and the projection.

        `role` is what the rows are written as; it needs membership in `es_project`. None: the login. The
        rest is explained at `Plan`.
        """
        plan = Plan(
            projection.name,
            projection.version,
            projection.lanes,
            projection.only,
            partitions=partitions,
            lease_seconds=lease_seconds,
            poll_seconds=poll_seconds,
            page_max=page_max,
            policy=policy,
            retries=retries or Retries(),
            release=release,
            knows=knows,
        )
        super().__init__(store, conninfo_of_rows(conninfo, projection), role, plan, "project")
        self.projection = projection

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
            for lane in self.plan.lanes
        ]

    def make_applier(self, connection: AsyncConnection, holding: Holding) -> Applier:
        """Return what writes rows."""
        return _RowApplier(self.projection, connection, holding, self.plan, self.pause_between_attempts)


class _RowApplier(Applier):
    """Writes rows and checkpoints in one transaction."""

    def __init__(
        self,
        projection: Projection,
        connection: AsyncConnection,
        holding: Holding,
        plan: Plan,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(
            connection,
            holding,
            ParkedEvents(plan.name, plan.version),
            policy=plan.policy,
            retries=plan.retries,
            pause=pause,
            knows=plan.knows,
        )
        self._projection = projection

    async def take(self, page: Page, subscription: Subscription) -> None:
        """Apply a page, save how far we are, and learn how large the next one should be."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await self.apply(page.events, page.scanned)
        if loop.time() - began_at > PAGE_SECONDS_MAX:
            subscription.shrink()

    async def commit(
        self, events: Sequence[StoredEvent], save: Callable[[AsyncConnection], Awaitable[None]] | None
    ) -> None:
        """Write the rows for some events and save what belongs to them, or neither."""
        async with self.turn, self.connection.transaction():
            if events:
                await self._projection.apply(self.connection, events)
            if save is not None:
                await save(self.connection)

    async def idle(self) -> None:
        """Do nothing: every page was saved with its rows."""

    async def finish(self) -> None:
        """Do nothing: no page is ever under way between two steps."""

    async def close(self) -> None:
        """Do nothing, either."""

    def ours(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Return the events that are new to a partition that is held."""
        return self.holding.wanted(events)

    def moved_to(self, end: Position) -> Mapping[int, Mapping[int, int]]:
        """Return all partitions that are not there yet."""
        return self.holding.moved_to(end)
