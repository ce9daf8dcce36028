"""Keeps projectors running beside a service, and begins again when one breaks.

A read model that cannot go on is no reason to refuse commands: what was written is safe in the log, and
the monitor sees the lag.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog

from eventstore.following.projector import Projector
from services.domain import events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from eventstore.following.projection import Projection
    from eventstore.store import EventStore
    from services.runtime.clock import Clock

_PAUSE_FIRST_SECONDS: Final = 0.5
_PAUSE_SECONDS_MAX: Final = 30.0
_STOP_SECONDS_MAX: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


def projector_of(
    store: EventStore, database_url: str, projection: Projection, role: str, *, reads_on: bool = False
) -> Projector:
    """Return what keeps a read model up to date.

    It stops before an event that this release cannot read, and goes on when a newer one starts; a projection
    that `reads_on` is given even those, and has to bear it.
    """
    return Projector(
        store,
        database_url,
        projection,
        role=role,
        release=version("directorybolt"),
        knows=None if reads_on else events.knows,
    )


@asynccontextmanager
async def projecting(projectors: Sequence[Projector], clock: Clock) -> AsyncGenerator[None]:
    """Run projectors inside of the context; on the way out each finishes its page, within five seconds."""
    ending = asyncio.Event()
    tasks = [
        asyncio.create_task(_keep(each, clock, ending), name=f"projector {each.projection.name}")
        for each in projectors
    ]
    try:
        yield
    finally:
        ending.set()
        for each in projectors:
            each.stop()
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS_MAX)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(projector: Projector, clock: Clock, ending: asyncio.Event) -> None:
    pause_seconds = _PAUSE_FIRST_SECONDS
    while not ending.is_set():
        began_at = clock.monotonic()
        try:
            await projector.run()
        except Exception as error:  # noqa: BLE001  # one broken read model must not end the process
            _log.error("projector.broke", projection=projector.projection.name, exc_info=error)
        else:
            return
        if clock.monotonic() - began_at > _PAUSE_SECONDS_MAX:
            pause_seconds = _PAUSE_FIRST_SECONDS
        await _pause(pause_seconds, clock, ending)
        pause_seconds = min(pause_seconds * 2, _PAUSE_SECONDS_MAX)


async def _pause(seconds: float, clock: Clock, ending: asyncio.Event) -> None:
    waiting = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(ending.wait())}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
