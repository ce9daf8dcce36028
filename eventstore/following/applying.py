"""Gets a page of events applied, whatever is in it: finds the one that fails, tries it, and gives it up.

A page that fails is halved until the culprit stands alone; what comes before it is applied and saved, and the
policy decides about the rest of its stream or partition. What passes by itself is raised to the caller, and
the page comes again.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from itertools import groupby
from typing import TYPE_CHECKING

from eventstore.connections import backoff
from eventstore.errors import UnknownEvent
from eventstore.following.failing import NO_FAULT, FailurePolicy, sentence
from eventstore.following.partitions import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.following.failing import Retries
    from eventstore.following.parked import ParkedEvent, ParkedEvents
    from eventstore.following.partitions import Holding
    from eventstore.following.subscription import Subscription
    from eventstore.types import Page, Position, StoredEvent

_log = logging.getLogger(__name__)


class Applier(ABC):
    """Applies events for the partitions that one connection holds."""

    def __init__(
        self,
        connection: AsyncConnection,
        holding: Holding,
        parked: ParkedEvents,
        *,
        policy: FailurePolicy,
        retries: Retries,
        pause: Callable[[float], Awaitable[None]],
        knows: Callable[[StoredEvent], bool] | None = None,
    ) -> None:
        """Take the connection, what it holds, and what to do about failures; `pause` may raise to end it.

        `knows` tells which events can be read; None says that all can.
        """
        self.connection = connection
        self.holding = holding
        self.parked = parked
        self.blocked: set[UUID] = set()
        #: The connection belongs to one at a time: a statement in between would join its transaction.
        self.turn = asyncio.Lock()
        self._policy = policy
        self._retries = retries
        self._pause = pause
        self._knows = knows
        self._noted: set[tuple[str, int]] = set()

    @abstractmethod
    async def commit(
        self, events: Sequence[StoredEvent], save: Callable[[AsyncConnection], Awaitable[None]] | None
    ) -> None:
        """Apply events and save what belongs to them, within a transaction of its own."""

    @abstractmethod
    def ours(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Return the events that are to be applied here and now."""

    @abstractmethod
    def moved_to(self, end: Position) -> Mapping[int, Mapping[int, int]]:
        """Return the checkpoints to save when everything up to a position is done."""

    async def apply(self, events: Sequence[StoredEvent], end: Position) -> None:
        """Apply what of some events is for us, put aside what fails, and save that it is done up to `end`.

        Errors: LeaseLost, and what passes by itself.
        """
        batches = [(events, end)]
        while batches:
            batch, batch_end = batches.pop()
            error = await self._try(batch, batch_end)
            if error is None:
                continue
            if len(batch) == 1:
                await self._insist(batch[0], batch_end, error)
                continue
            half = len(batch) // 2
            batches += [(batch[half:], batch_end), (batch[:half], batch[half - 1].position)]

    @property
    def has_room(self) -> bool:
        """Return whether another page can be taken now."""
        return True

    @abstractmethod
    async def take(self, page: Page, subscription: Subscription) -> None:
        """See to it that a page is applied; it is read no more."""

    @abstractmethod
    async def idle(self) -> None:
        """Save what is not saved yet: there is nothing to take."""

    async def wait(self, subscription: Subscription, timeout_seconds: float) -> None:
        """Return when there may be something to do."""
        await subscription.wait_for_news(timeout_seconds)

    async def share(self, read: Callable[[Position], Awaitable[StoredEvent | None]]) -> None:
        """Say that we are there, take and give back partitions, and do what was asked meanwhile."""
        if await self.holding.share(self.connection):
            await self.load_blocked()
        for asked in await self.asked():
            await self.settle(asked, read)

    async def asked(self) -> Sequence[Sequence[ParkedEvent]]:
        """Return the parked events that somebody asked about and that are ours, stream by stream."""
        async with self.turn:
            asked = await self.parked.asked(self.connection)
        streams = groupby(asked, key=lambda each: each.stream_id)
        held = self.holding.held
        return [list(each) for stream_id, each in streams if self.holding.partition_of(stream_id) in held]

    @abstractmethod
    async def finish(self) -> None:
        """End what is under way; nothing more will come."""

    @abstractmethod
    async def close(self) -> None:
        """Break off what is under way."""

    async def settle(
        self, asked: Sequence[ParkedEvent], read: Callable[[Position], Awaitable[StoredEvent | None]]
    ) -> None:
        """Do what was asked about the parked events of one stream, in order, up to one that has to stay."""
        for each in asked:
            if each.asked == "discard":
                await self._forget(each, [])
            elif each.asked == "replay" or each.state == "behind":
                if not await self._replay(each, read):
                    break
            elif each.state == "failed":
                break
        await self.load_blocked()

    async def load_blocked(self) -> None:
        """Read which streams have to wait."""
        async with self.turn:
            self.blocked = await self.parked.blocked(self.connection)

    async def _try(self, events: Sequence[StoredEvent], end: Position) -> Exception | None:
        ours = self.ours(events)
        behind = [each for each in ours if each.stream_id in self.blocked]
        good = [each for each in ours if each.stream_id not in self.blocked] if behind else ours
        moved = self.moved_to(end)
        unknown = [] if self._knows is None else [each for each in good if not self._knows(each)]
        for each in unknown:
            if not each.ignorable:
                return UnknownEvent(each.event_type, each.schema_version, each.position)
        self._note(unknown)

        async def _save(connection: AsyncConnection) -> None:
            await self.parked.add(connection, behind, "behind")
            await self.holding.save(connection, moved, fenced=self._partitions(behind))
            await self.holding.pass_over(connection, unknown)

        try:
            await self.commit(good, _save if moved or behind or unknown else None)
        except NO_FAULT:
            raise
        except Exception as error:
            if not good:
                raise
            return error
        self.holding.note(moved)
        return None

    async def _insist(self, event: StoredEvent, end: Position, error: Exception) -> None:
        attempts = 1
        async for pause_seconds in backoff(self._retries.first_seconds, self._retries.seconds_max):
            if attempts >= self._retries.attempts_max or isinstance(error, UnknownEvent):
                break
            await self._pause(pause_seconds)
            await self.renew()
            again = await self._try([event], end)
            if again is None:
                return
            attempts, error = attempts + 1, again
        # What a newer release wrote is no event to leave out: that release will read it.
        policy = FailurePolicy.PAUSE if isinstance(error, UnknownEvent) else self._policy
        failure = Failure(event.position, sentence(error), attempts)
        self._say(event, failure, policy)
        if policy is FailurePolicy.PAUSE:
            await self.pause(self.holding.partition_of(event.stream_id), failure)
            await self._try([], end)
        else:
            await self._put_aside(event, end, failure, policy)

    async def _put_aside(
        self, event: StoredEvent, end: Position, failure: Failure, policy: FailurePolicy
    ) -> None:
        state = "failed" if policy is FailurePolicy.PARK else "skipped"
        moved = self.moved_to(end)

        async def _save(connection: AsyncConnection) -> None:
            await self.parked.add(connection, [event], state, attempts=failure.attempts, error=failure.error)
            await self.holding.save(connection, moved, fenced=self._partitions([event]))

        await self.commit([], _save)
        self.holding.note(moved)
        if policy is FailurePolicy.PARK:
            self.blocked.add(event.stream_id)

    async def renew(self) -> None:
        """Hold on to everything while an event is being tried."""
        async with self.turn:
            await self.holding.renew(self.connection)

    async def pause(self, number: int, failure: Failure) -> None:
        """Stop a partition, visibly, before an event."""
        async with self.turn:
            await self.holding.pause(self.connection, number, failure)

    async def _replay(
        self, parked: ParkedEvent, read: Callable[[Position], Awaitable[StoredEvent | None]]
    ) -> bool:
        try:
            event = await read(parked.place)
            # What was dropped from the log meanwhile (an old pulse) cannot be applied any more.
            await self._forget(parked, [event] if event else [])
        except NO_FAULT:
            raise
        except Exception as error:  # noqa: BLE001  # whatever an event does to a handler, it stays parked
            said = sentence(error)

            async def _save(connection: AsyncConnection) -> None:
                await self.parked.failed_again(connection, parked, said, 1)
                fenced = self.holding.partition_of(parked.stream_id)
                await self.holding.save(connection, {}, fenced=[fenced])

            await self.commit([], _save)
            return False
        return True

    async def _forget(self, parked: ParkedEvent, events: Sequence[StoredEvent]) -> None:
        async def _save(connection: AsyncConnection) -> None:
            await self.parked.remove(connection, parked)
            fenced = self.holding.partition_of(parked.stream_id)
            await self.holding.save(connection, {}, fenced=[fenced])

        await self.commit(events, _save)

    def _partitions(self, events: Sequence[StoredEvent]) -> set[int]:
        return {self.holding.partition_of(each.stream_id) for each in events}

    def _note(self, unknown: Sequence[StoredEvent]) -> None:
        """Say once of each kind of event that it is passed over."""
        for event_type, version in {(each.event_type, each.schema_version) for each in unknown} - self._noted:
            _log.warning(
                "projection %s passes over %s, version %d: a newer release wrote it, and it is ignorable",
                *(self.holding.name, event_type, version),
            )
            self._noted.add((event_type, version))

    def _say(self, event: StoredEvent, failure: Failure, policy: FailurePolicy) -> None:
        _log.error(
            "projection %s: %s at position %d of lane %d failed %d times (%s): %s",
            *(self.holding.name, event.event_type, event.position.number, event.position.lane),
            *(failure.attempts, failure.error, _CONSEQUENCES[policy]),
        )


_CONSEQUENCES = {
    FailurePolicy.PAUSE: "its partition is paused until somebody resumes it",
    FailurePolicy.PARK: "it is parked, and its stream waits behind it",
    FailurePolicy.SKIP: "it is skipped",
}
