"""Hands events to a handler whose effects lie outside of the database: at least once, in order per stream.

Partitions are handled side by side, each by one worker at a time, in one process at a time. The checkpoint of
a partition is what stands before the first event that is not done, so that a crash repeats some events and
loses none: a handler tells a repeat by the event's id.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from eventstore.connections import backoff
from eventstore.errors import LeaseLost
from eventstore.following.applying import Applier
from eventstore.following.failing import TROUBLE, FailurePolicy, Retries, sentence
from eventstore.following.parked import ParkedEvents
from eventstore.following.shared_loop import LEASE_SECONDS, POLL_SECONDS, Follower, Plan, Stopped
from eventstore.store import EVERYTHING
from eventstore.types import LEDGER_LANE, Filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.following.partitions import Holding
    from eventstore.following.subscription import Subscription
    from eventstore.store import EventStore
    from eventstore.types import Page, Position, StoredEvent

_log = logging.getLogger(__name__)

PARTITIONS: Final = 16
#: As many events wait for the handler at most, and one page more is read ahead.
WAITING_MAX: Final = 500


class Handler(Protocol):
    """What is done for events: one or some of the same partition, oldest first.

    It raises PassingTrouble when what it needs is away; whatever else it raises is the event's fault.
    """

    async def __call__(self, events: Sequence[StoredEvent], /) -> None:
        """Do it; the same event may come again."""
        ...


class Consumer(Follower):
    """The loop that keeps a handler supplied, together with others of the same name and version."""

    def __init__(
        self,
        store: EventStore,
        conninfo: str,
        name: str,
        handler: Handler,
        *,
        version: int = 1,
        lanes: Sequence[int] = (LEDGER_LANE,),
        only: Filter = EVERYTHING,
        batch_max: int = 1,
        role: str | None = None,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        partitions: int = PARTITIONS,
        waiting_max: int = WAITING_MAX,
        policy: FailurePolicy = FailurePolicy.PAUSE,
        retries: Retries | None = None,
        release: str = "",
    ) -> None:
        """Take the store, the database of the checkpoints, a name for ever, and the handler.

        `batch_max` is how many events the handler takes at once; `role` needs membership in `es_project`.
        The rest is explained at `Plan`.
        """
        plan = Plan(
            name,
            version,
            lanes,
            only,
            partitions=partitions,
            lease_seconds=lease_seconds,
            poll_seconds=poll_seconds,
            page_max=waiting_max,
            policy=policy,
            retries=retries or Retries(),
            release=release,
        )
        super().__init__(store, conninfo, role, plan, "consume")
        self._handler = handler
        self._batch_max = batch_max

    def make_applier(self, connection: AsyncConnection, holding: Holding) -> Applier:
        """Return what calls the handler."""
        work = Work(self._handler, self._batch_max, self.pause_between_attempts)
        return _Desk(work, connection, holding, self.plan)


@dataclass(frozen=True, slots=True)
class Work:
    """What to call, with how many events at once, and how to wait between two attempts."""

    handler: Handler
    batch_max: int
    pause: Callable[[float], Awaitable[None]]


class _Desk(Applier):
    """Keeps the events that wait, by partition, and the workers that hand them over.

    A partition has one worker at a time. What is held tells how far was read; what is done is less by what
    waits here.
    """

    def __init__(self, work: Work, connection: AsyncConnection, holding: Holding, plan: Plan) -> None:
        parked = ParkedEvents(plan.name, plan.version)
        super().__init__(
            connection, holding, parked, policy=plan.policy, retries=plan.retries, pause=work.pause
        )
        self._work = work
        self._waiting_max = plan.page_max
        self._renew_seconds = plan.lease_seconds / 3
        self._waiting: dict[int, deque[StoredEvent]] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._progress = asyncio.Event()
        self._finishing = False
        self._bug: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Return whether fewer events wait than may."""
        return sum(map(len, self._waiting.values())) < self._waiting_max

    def ours(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Return the events whose partition is held."""
        held = self.holding.held
        return [each for each in events if self.holding.partition_of(each.stream_id) in held]

    def moved_to(self, end: Position) -> Mapping[int, Mapping[int, int]]:
        """Return nothing: checkpoints are saved apart, now and then."""
        del end
        return {}

    async def commit(
        self, events: Sequence[StoredEvent], save: Callable[[AsyncConnection], Awaitable[None]] | None
    ) -> None:
        """Call the handler, then save what belongs to it."""
        if events:
            await self._work.handler(events)
        if save is not None:
            async with self.turn, self.connection.transaction():
                await save(self.connection)

    async def take(self, page: Page, subscription: Subscription) -> None:
        """Put a page's events where they wait, and see that somebody works on them."""
        del subscription
        for event in self.holding.wanted(page.events):
            number = self.holding.partition_of(event.stream_id)
            self._waiting.setdefault(number, deque()).append(event)
        self.holding.note(self.holding.moved_to(page.scanned))
        for number in list(self._waiting):
            self._set_to_work(number)

    async def wait(self, subscription: Subscription, timeout_seconds: float) -> None:
        """Return when there is news to read, or somebody got on."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._progress.wait())]
        if self.has_room:
            waits.append(asyncio.ensure_future(subscription.wait_for_news(timeout_seconds)))
        try:
            await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def idle(self) -> None:
        """Save what is done when all of it is; otherwise it is saved now and then."""
        self._progress.clear()
        if not self._workers:
            await self._save_done()

    async def share(self, read: Callable[[Position], Awaitable[StoredEvent | None]]) -> None:
        """Save what is done, renew, take and give back; what should go is handed over no more."""
        if self._bug is not None:
            raise self._bug
        await self._save_done()
        before = {number: each.epoch for number, each in self.holding.held.items()}
        async with self.turn:
            changed = await self.holding.share(self.connection, busy=frozenset(self._workers))
        held = self.holding.held
        for number in [each for each in before if each not in held or held[each].epoch != before[each]]:
            self._break_off(number)
        for number in self.holding.surplus:
            self._put_back(number, keep=self._work.batch_max)
        if changed:
            await self.load_blocked()
        for asked in await self.asked():
            number = self.holding.partition_of(asked[0].stream_id)
            if number not in self._workers:
                self._start(number, self.settle(asked, read))

    async def finish(self) -> None:
        """Wait for the calls under way, holding on to what they are for, and save what is done."""
        self._finishing = True
        while self._workers:
            await asyncio.wait(self._workers.values(), timeout=self._renew_seconds)
            await self.renew()
        await self._save_done()

    async def close(self) -> None:
        """Break off the calls under way."""
        workers = list(self._workers.values())
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _set_to_work(self, number: int) -> None:
        if number not in self._workers and self._waiting.get(number) and not self._finishing:
            self._start(number, self._hand_over(number, self._waiting[number]))

    def _start(self, number: int, work: Coroutine[None, None, None]) -> None:
        worker = asyncio.ensure_future(work)
        self._workers[number] = worker
        worker.add_done_callback(lambda ended: self._end(number, ended))

    def _end(self, number: int, worker: asyncio.Future[None]) -> None:
        del self._workers[number]
        error = None if worker.cancelled() else worker.exception()
        if isinstance(error, LeaseLost):
            self._put_back(number, keep=0)
        elif error is not None and not isinstance(error, (Stopped, *TROUBLE)):
            self._bug = error
        else:
            self._set_to_work(number)
        self._progress.set()

    async def _hand_over(self, number: int, waiting: deque[StoredEvent]) -> None:
        pauses = backoff()
        while waiting and not self._finishing:
            batch = list(islice(waiting, self._work.batch_max))
            try:
                await self.apply(batch, batch[-1].position)
            except TROUBLE as trouble:
                _log.warning("consumer %s waits: %s", self.holding.name, sentence(trouble))
                await self._work.pause(await anext(pauses))
                continue
            pauses = backoff()
            if number not in self.holding.held:
                waiting.clear()
                return
            for _ in batch:
                waiting.popleft()
            self._progress.set()

    def _break_off(self, number: int) -> None:
        """Give up what waits for a partition that is another's now; what was read comes to that one."""
        self._waiting.pop(number, None)
        if number in self._workers:
            self._workers[number].cancel()

    def _put_back(self, number: int, keep: int) -> None:
        """Forget what waits behind the first few: it will be read again, here or elsewhere."""
        waiting = self._waiting.get(number)
        back: dict[int, int] = {}
        while waiting and len(waiting) > keep:
            event = waiting.pop()
            back[event.position.lane] = event.position.number - 1
        if back and number in self.holding.held:
            self.holding.rewind(number, back)

    async def _save_done(self) -> None:
        held = self.holding.held
        done = {number: self._done(number) for number in held}
        moved = {number: each for number, each in done.items() if each != held[number].saved}
        # What was lost meanwhile is noticed at the next sharing; it was not saved.
        with suppress(LeaseLost):
            async with self.turn:
                await self.holding.save(self.connection, moved)
            for number, each in moved.items():
                held[number].saved = each

    def _done(self, number: int) -> dict[int, int]:
        """Return how far a partition is done in each lane: up to the first event that is not."""
        done = dict(self.holding.held[number].positions)
        for event in reversed(self._waiting.get(number, ())):
            done[event.position.lane] = event.position.number - 1
        return done
