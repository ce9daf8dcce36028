"""What projectors and consumers have in common: they share partitions, follow the log, and wait out trouble.

One connection does everything that is saved, and says at least every poll interval that it is still there;
what the others do (join, leave, die, resume, ask about parked events) is noticed at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg

from eventstore.connections import backoff, connect
from eventstore.errors import EventStoreError, HoleInLog, LeaseLost
from eventstore.following.failing import TROUBLE, FailurePolicy, Retries, sentence
from eventstore.following.partitions import PARTITIONS_MAX, Failure, Holding
from eventstore.following.projection import ProjectionProgress
from eventstore.following.resume import paused
from eventstore.following.subscription import EVENTS_PER_PAGE_MAX, Subscription
from eventstore.lanes import followed
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE, Filter, Position

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from typing import Any
    from uuid import UUID

    from eventstore.following.applying import Applier
    from eventstore.store import EventStore
    from eventstore.types import StoredEvent

LEASE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
_LEAVE_SECONDS_MAX: Final = 2.0
#: What ran for so long was well: the next trouble is a new one.
_GOOD_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The loop was asked to stop, in the middle of something that will come again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is followed, and how.

    Shape: LEDGER_LANE among `lanes` stands for all lanes of the ledger; `partitions` 1 to 1,024. `release`
    names the program: what another release paused is tried again. `knows` tells which events this program can
    read; of those it cannot, it passes over the ignorable ones and stops before any other.
    """

    name: str
    version: int
    lanes: Sequence[int] = (LEDGER_LANE,)
    only: Filter = field(default=EVERYTHING)
    partitions: int = 1
    lease_seconds: float = LEASE_SECONDS
    poll_seconds: float = POLL_SECONDS
    page_max: int = EVENTS_PER_PAGE_MAX
    policy: FailurePolicy = FailurePolicy.PAUSE
    retries: Retries = field(default_factory=Retries)
    release: str = ""
    knows: Callable[[StoredEvent], bool] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= PARTITIONS_MAX:
            raise ValueError(f"{self.partitions} partitions; there may be 1 to {PARTITIONS_MAX}")


class Follower(ABC):
    """A loop that follows the log for the partitions that it is given, until it is stopped."""

    def __init__(self, store: EventStore, conninfo: str, role: str | None, plan: Plan, purpose: str) -> None:
        """Take the store to read, the database of the checkpoints, and the role to act in there."""
        self.plan = replace(plan, lanes=followed(plan.lanes, store.lanes))
        self._store = store
        self._conninfo = conninfo
        self._role = role
        self._purpose = f"{purpose} {plan.name}"
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._progress = ProjectionProgress(conninfo, plan.name, plan.version)
        self._stopping = asyncio.Event()

    @property
    def holder(self) -> str:
        """The name under which it holds partitions: host, process, and a number of its own."""
        return self._holder

    @abstractmethod
    def make_applier(self, connection: psycopg.AsyncConnection, holding: Holding) -> Applier:
        """Return what applies events for the partitions held on a connection."""

    async def run(self) -> None:
        """Follow until `stop`; wait out the database's troubles, other holders, and pauses."""
        clock = asyncio.get_running_loop().time
        pauses = backoff()
        try:
            while not self._stopping.is_set():
                began_at = clock()
                await self._try_to_follow()
                if clock() - began_at > _GOOD_SECONDS:
                    pauses = backoff()
                await self.rest(await anext(pauses))
        finally:
            await self.close()

    async def close(self) -> None:
        """Close what `wait_until` opened; `run` does so when it ends."""
        await self._progress.close()

    def stop(self) -> None:
        """Ask `run` to finish what is under way and return."""
        self._stopping.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run inside of the context; stop, and raise what `run` raised, on the way out."""
        task = asyncio.create_task(self.run(), name=self._purpose)
        try:
            yield
        finally:
            self.stop()
            await task

    async def wait_until(
        self, position: Position, timeout_seconds: float | None = None, *, stream_id: UUID | None = None
    ) -> None:
        """Return when every event up to a position is done, whoever runs it; see ProjectionProgress.

        Errors: TimeoutError when `timeout_seconds` pass before.
        """
        await self._progress.wait_until(position, timeout_seconds, stream_id=stream_id)

    async def rest(self, seconds: float) -> None:
        """Sleep, or wake when the loop shall stop."""
        await self._until_stopped(asyncio.sleep, seconds)

    async def pause_between_attempts(self, seconds: float) -> None:
        """Sleep between two attempts at an event.

        Errors: Stopped; the event comes again.
        """
        await self.rest(seconds)
        if self._stopping.is_set():
            raise Stopped

    async def _try_to_follow(self) -> None:
        try:
            await self._hold_and_follow()
        except Stopped:
            return
        except LeaseLost:
            _log.warning("%s: a partition was taken over", self._purpose)
        except TROUBLE as trouble:
            _log.warning("%s waits: %s", self._purpose, sentence(trouble))

    async def _hold_and_follow(self) -> None:
        plan = self.plan
        async with await connect(self._conninfo, self._role, self._purpose) as connection:
            await self._prepare(connection)
            holding = Holding(
                plan.name,
                plan.version,
                plan.partitions,
                holder=self._holder,
                lease_seconds=plan.lease_seconds,
                release=plan.release,
            )
            try:
                await self._say_paused(connection)
                await self._follow(self.make_applier(connection, holding))
            finally:
                await self._leave(connection, holding)

    async def _prepare(self, connection: psycopg.AsyncConnection) -> None:
        """Have the database end what a frozen process holds open: its rows would stay locked."""
        milliseconds = str(int(self.plan.lease_seconds * 1_000))
        await connection.execute(
            "select set_config('idle_in_transaction_session_timeout', %s, false),"
            " set_config('synchronous_commit', 'off', false)",
            [milliseconds],
        )

    async def _say_paused(self, connection: psycopg.AsyncConnection) -> None:
        found = await paused(connection, self.plan.name, self.plan.version)
        if found:
            first = found[0]
            _log.error(
                "%s finds %d of %d partitions paused, the first at position %d of lane %d: %s",
                *(self._purpose, len(found), self.plan.partitions),
                *(first.position, first.lane, first.error),
            )

    async def _follow(self, applier: Applier) -> None:
        loop = asyncio.get_running_loop()
        share_seconds = min(self.plan.poll_seconds, self.plan.lease_seconds / 3)
        share_at = loop.time()
        reading = _Reading(self._store, self.plan, applier.holding)
        try:
            while not self._stopping.is_set():
                if loop.time() >= share_at:
                    await applier.share(self._read)
                    share_at = loop.time() + share_seconds
                subscription = await reading.subscription()
                if subscription is None:
                    await self.rest(share_at - loop.time())
                elif not await self._step(applier, subscription):
                    await applier.idle()
                    wait = partial(applier.wait, subscription)
                    await self._until_stopped(wait, share_at - loop.time())
            await applier.finish()
        finally:
            await applier.close()
            await reading.close()

    async def _read(self, position: Position) -> StoredEvent | None:
        """Return the event at a position; None when it is not there any more.

        Errors: StoreUnavailable.
        """
        page = await self._store.read_all(Position(position.lane, position.number - 1), limit=1)
        found = [each for each in page.events if each.position == position]
        return found[0] if found else None

    async def _step(self, applier: Applier, subscription: Subscription) -> bool:
        if not applier.has_room:
            return False
        try:
            page = await subscription.next_page()
        except TROUBLE:
            raise
        except EventStoreError as damage:
            await self._stop_at(damage, applier, subscription)
            return True
        if page is None:
            return subscription.has_ended
        await applier.take(page, subscription)
        subscription.move(page)
        return True

    async def _stop_at(self, damage: EventStoreError, applier: Applier, subscription: Subscription) -> None:
        """Pause all that we hold: the log itself cannot be read on."""
        _log.critical("%s is paused, the log cannot be read: %s", self._purpose, damage)
        lane, number = next(iter(subscription.positions.items()))
        after = damage.after if isinstance(damage, HoleInLog) else Position(lane, number)
        failure = Failure(Position(after.lane, after.number + 1), sentence(damage), 0)
        for partition in list(applier.holding.held):
            await applier.pause(partition, failure)

    async def _until_stopped(self, wait: Callable[[float], Awaitable[Any]], seconds: float) -> None:
        waiting = asyncio.ensure_future(wait(max(0.0, seconds)))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    async def _leave(self, connection: psycopg.AsyncConnection, holding: Holding) -> None:
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS_MAX):
                await holding.leave(connection)


class _Reading:
    """The subscription that fits what is held; made anew when that changes, or a stretch has ended."""

    def __init__(self, store: EventStore, plan: Plan, holding: Holding) -> None:
        self._store = store
        self._plan = plan
        self._holding = holding
        self._epochs: Sequence[tuple[int, int]] = ()
        self._current: Subscription | None = None

    async def subscription(self) -> Subscription | None:
        """Return what to read from; None while nothing is held."""
        active = self._holding.active
        epochs = [*((number, each.epoch) for number, each in active.items())]
        epochs.append((-1, self._holding.rewound_count))
        if self._current is None or self._current.has_ended or epochs != self._epochs:
            await self.close()
            self._epochs = epochs
            self._current = self._begun() if active else None
        return self._current

    async def close(self) -> None:
        """End the present one."""
        if self._current is not None:
            current, self._current = self._current, None
            await current.close()

    def _begun(self) -> Subscription:
        stretch = self._holding.stretch(self._plan.lanes)
        return Subscription(
            self._store,
            self._plan.lanes,
            stretch.positions,
            only=replace(self._plan.only, partitions=stretch.partitions),
            page_max=self._plan.page_max,
            until=stretch.until,
            read_ahead=True,
        )
