"""An outage of the database is not the silence of the fleet: a real Postgres, stopped and started again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from eventstore.errors import StoreUnavailable
from eventstore.migrate import migrate as migrate_event_store
from services.domain.errors import StoreDown
from services.projections.__main__ import migrate
from stack.postgres import EmbeddedPostgres
from tests.fix_monitor import SHORT, open_watch, short_rules
from tests.fix_postgres import postgres_binaries

if TYPE_CHECKING:
    from uuid import UUID

    from services.monitor.judge import GapJudge
    from tests.fix_monitor import Watch

RULES = short_rules("stale_submission", "silent_worker")


async def keep_alive(watch: Watch, submission_id: UUID, version: int) -> None:
    """Pulse as a worker does: again and again, and through an outage."""
    while True:
        with suppress(StoreUnavailable):
            await watch.pulse_attempt(submission_id, version)
            await watch.pulse_worker("w-1")
        await watch.clock.sleep(0.2)


async def look(judge: GapJudge, watch: Watch) -> None:
    """Judge as the monitor's loop does: again and again, and through an outage."""
    while True:
        with suppress(StoreUnavailable, StoreDown):
            await judge.run_once()
        await watch.clock.sleep(0.1)


async def test_a_restart_of_postgres_raises_nothing_and_true_silence_is_noticed_after_it() -> None:
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as postgres:
        url = await postgres.create_database("monitored")
        await migrate_event_store(url)
        await migrate(url)
        async with open_watch(url, RULES) as watch:
            submission_id, judge = uuid4(), watch.judge()
            version = await watch.claim(submission_id)
            await watch.start_worker("w-1")
            looking = asyncio.create_task(look(judge, watch))
            pulsing = asyncio.create_task(keep_alive(watch, submission_id, version))

            await settled(watch)
            await postgres.kill()
            await watch.clock.sleep(2 * SHORT.total_seconds())
            await postgres.restart()
            await settled(watch)
            assert await watch.alerts() == []

            await ended(pulsing)
            alerts = await watch.judged((), lambda alerts: len(alerts) == 2)
            await ended(looking)

    assert {each.rule for each in alerts} == {"stale_submission", "silent_worker"}


async def settled(watch: Watch) -> None:
    """Return when the judge has had all it needs to fire, twice over."""
    await watch.caught_up()
    await watch.clock.sleep(2 * SHORT.total_seconds())
    await watch.caught_up()


async def ended(task: asyncio.Task[None]) -> None:
    """End a task, and raise what ended it before."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
