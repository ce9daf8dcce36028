"""Hands out warm, isolated browser pages at once, and heals itself when a browser dies.

One keeper task owns all making and recycling: it keeps a few sessions ready, replaces a browser after so
many uses, and starts a new one when the old one crashed or froze. Takers only wait for its results, with a
limit of their own. A session is used once; a crash fails the attempts of that browser and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from services.submitter.browser_process import BrowserLost, BrowserProcess, PageSession, sweep_orphans
from services.submitter.egress_proxy import EgressProxy
from services.submitter.find_browser import BrowserNotFound
from services.submitter.pool_config import PoolConfig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_log = structlog.stdlib.get_logger(__name__)


class BrowserUnavailable(Exception):
    """No browser page was ready within the limit."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What the pool has done and holds now."""

    browser: str
    sessions_ready: int
    sessions_leased: int
    browsers_started: int
    browsers_lost: int


class BrowserPool:
    """A warm pool over one Chromium at a time; `async with` starts and closes it."""

    def __init__(self, config: PoolConfig | None = None) -> None:
        self._config = config or PoolConfig()
        self._proxy = EgressProxy(self._config.rules)
        self._ready: deque[PageSession] = deque()
        self._processes: list[BrowserProcess] = []
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._failure = ""
        self._started = 0
        self._lost = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Sweep what an earlier worker left, start the browser, and return when a session is ready.

        Errors: BrowserNotFound, with advice, when there is no browser on this machine.
        """
        if count := sweep_orphans():
            _log.warning("orphan_browsers_killed", processes=count)
        await self._proxy.start()
        try:
            await self._launch()
        except (BrowserNotFound, BrowserLost):
            await self._proxy.close()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="browser-pool-keeper")
        self._wake.set()

    async def close(self) -> None:
        """End everything; leases that are still out fail."""
        tasks = [*self._watchers, *([self._keeper] if self._keeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._ready.clear()
        await asyncio.gather(*(each.close(self._config.operation_seconds) for each in self._processes))
        self._processes.clear()
        await self._proxy.close()

    @property
    def statistics(self) -> PoolStatistics:
        """What the pool holds now."""
        return PoolStatistics(
            browser=self._processes[-1].label if self._processes else "",
            sessions_ready=len(self._ready),
            sessions_leased=sum(each.leases for each in self._processes),
            browsers_started=self._started,
            browsers_lost=self._lost,
        )

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[PageSession]:
        """Lend a fresh session. Errors: BrowserUnavailable when none is ready in time."""
        session = await self._take()
        try:
            yield session
        finally:
            # Shielded: a cancelled attempt must not leave its context behind.
            await asyncio.shield(self._give_back(session))

    async def _take(self) -> PageSession:
        try:
            async with asyncio.timeout(self._config.acquire_seconds), self._changed:
                await self._changed.wait_for(lambda: bool(self._ready))
                session = self._ready.popleft()
        except TimeoutError as error:
            raise BrowserUnavailable(self._failure or "no browser page was ready in time") from error
        session.process.leases += 1
        session.process.uses += 1
        self._wake.set()
        return session

    async def _give_back(self, session: PageSession) -> None:
        await session.process.close_session(session, self._config.operation_seconds)
        session.process.leases -= 1
        self._wake.set()

    async def _keep(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._retire()
                await self._replenish()
                self._failure = ""
            except (BrowserLost, BrowserNotFound, OSError) as error:
                self._failure = str(error)
                _log.warning("browser_pool_failed", error=type(error).__name__)
                await asyncio.sleep(self._config.retry_seconds)
                self._wake.set()

    async def _retire(self) -> None:
        """Drop lost browsers and those that served their time and are idle."""
        for process in list(self._processes):
            if process.uses >= self._config.uses_max and not process.is_retired:
                process.is_retired = True
                await self._discard_ready(process)
            if process.lost.is_set():
                await self._discard_ready(process)
            if process.lost.is_set() or (process.is_retired and process.leases == 0):
                self._processes.remove(process)
                await process.close(self._config.operation_seconds)

    async def _discard_ready(self, process: BrowserProcess) -> None:
        mine = [each for each in self._ready if each.process is process]
        for session in mine:
            self._ready.remove(session)
        if not process.lost.is_set():
            for session in mine:
                await process.close_session(session, self._config.operation_seconds)

    async def _replenish(self) -> None:
        while len(self._ready) < self._config.sessions_warm:
            process = next((each for each in self._processes if not each.is_retired), None)
            if process is None or process.lost.is_set():
                process = await self._launch()
            session = await process.new_session(self._config, self._proxy.url)
            async with self._changed:
                self._ready.append(session)
                self._changed.notify()

    async def _launch(self) -> BrowserProcess:
        process = await BrowserProcess.launch(self._config.launch_seconds)
        self._started += 1
        self._processes.append(process)
        watcher = asyncio.create_task(self._watch(process), name="browser-watcher")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return process

    async def _watch(self, process: BrowserProcess) -> None:
        await process.lost.wait()
        if not process.is_retired:
            self._lost += 1
            _log.warning("browser_lost", browser=process.label, leases=process.leases)
        # Its ready sessions are dead; takers must not get them while the keeper is on its way.
        for session in [each for each in self._ready if each.process is process]:
            with contextlib.suppress(ValueError):
                self._ready.remove(session)
        self._wake.set()
