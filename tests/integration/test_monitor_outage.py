"""An outage of the database is not the silence of the fleet: a real Postgres, stopped and started again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from eventstore.errors import StoreUnavailable
from eventstore.migrate import migrate as migrate_event_store
from services.domain.errors import StoreDown
from services.projections.migration import migrate
from services.runtime.loop import Signal
from stack.postgres import EmbeddedPostgres
from tests.fix_monitor import open_watch, short_rules
from tests.fix_postgres import postgres_binaries

if TYPE_CHECKING:
    from uuid import UUID

    from services.monitor.judge import GapJudge
    from tests.fix_monitor import Watch

WAIT = timedelta(seconds=3)
RULES = [replace(rule, after=WAIT) for rule in short_rules("stale_submission", "silent_worker")]
#: Rounds after which a judge without patience would have fired.
ROUNDS = 3


@dataclass(slots=True)
class Fleet:
    """A worker with an attempt: it pulses, but needs a moment to come back after an outage."""

    watch: Watch
    submission_id: UUID
    version: int
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_alive(self) -> None:
        """Pulse while connected."""
        while True:
            await self.connected.wait()
            with suppress(StoreUnavailable):
                await self.watch.pulse_attempt(self.submission_id, self.version)
                await self.watch.pulse_worker("w-1")
            await self.watch.clock.sleep(0.2)


@dataclass(slots=True)
class Looking:
    """Judges as the monitor's loop does: again and again, and through an outage."""

    judge: GapJudge
    ran: Signal = field(default_factory=Signal)

    async def look(self, watch: Watch) -> None:
        """Judge, and say so."""
        while True:
            with suppress(StoreUnavailable, StoreDown):
                await self.judge.run_once()
                await self.ran.announce()
            await watch.clock.sleep(0.1)


async def test_a_restart_of_postgres_raises_nothing_and_true_silence_is_noticed_after_it() -> None:
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as postgres:
        url = await postgres.create_database("monitored")
        await migrate_event_store(url)
        await migrate(url)
        async with open_watch(url, RULES) as watch:
            submission_id, looking = uuid4(), Looking(watch.judge())
            fleet = Fleet(watch, submission_id, await watch.claim(submission_id))
            await watch.start_worker("w-1")
            tasks = [asyncio.create_task(looking.look(watch)), asyncio.create_task(fleet.keep_alive())]
            fleet.connected.set()
            await settled(watch)

            fleet.connected.clear()
            await postgres.kill()
            await watch.clock.sleep(1.5 * WAIT.total_seconds())
            await postgres.restart()
            await watch.caught_up()
            await looking.ran.reached(looking.ran.count + ROUNDS)
            fleet.connected.set()
            await settled(watch)
            assert await watch.alerts() == []

            fleet.connected.clear()
            alerts = await watch.judged((), lambda alerts: len(alerts) == 2)
            for task in tasks:
                await ended(task)

    assert {each.rule for each in alerts} == {"stale_submission", "silent_worker"}


async def settled(watch: Watch) -> None:
    """Return when the judge has had all it needs to fire, twice over."""
    await watch.caught_up()
    await watch.clock.sleep(1.5 * WAIT.total_seconds())
    await watch.caught_up()


async def ended(task: asyncio.Task[None]) -> None:
    """End a task, and raise what ended it before."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
