"""One Chromium with its own Playwright driver, every operation on it bounded by a wall-clock limit.

A frozen browser answers nothing and raises nothing; Playwright's own limits do not cover making and closing
contexts. So each operation here has a limit, and a browser that breaks one is killed with all its children.
Driver and browser live and die together: that way recycling also sheds the driver's memory, and a lost
driver heals by the same path as a lost browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from services.submitter.browser_flags import OWNER_SWITCH, owner_mark, sandbox_wanted
from services.submitter.find_browser import launch_first
from services.submitter.process_table import is_alive, kill_tree, marked, running, start_mark
from services.submitter.request_gate import RequestGate

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from playwright.async_api import Browser, BrowserContext, Page, Playwright

    from services.submitter.pool_config import PoolConfig

_T = TypeVar("_T")

_log = structlog.stdlib.get_logger(__name__)


class BrowserLost(Exception):
    """The browser crashed, froze or was lost."""


@dataclass(frozen=True, slots=True, eq=False)
class PageSession:
    """An isolated context with one page and its gate; used for one attempt, then thrown away."""

    process: BrowserProcess
    context: BrowserContext
    page: Page
    gate: RequestGate


class BrowserProcess:
    """A running browser."""

    def __init__(self, playwright: Playwright, browser: Browser, label: str, token: str) -> None:
        self._playwright = playwright
        self._browser = browser
        self._token = token
        self.label = label
        #: Sessions handed out so far.
        self.uses = 0
        #: Sessions that are out now.
        self.leases = 0
        self.is_retired = False
        self.lost = asyncio.Event()
        browser.on("disconnected", lambda _: self.lost.set())

    @classmethod
    async def launch(cls, seconds_max: float) -> BrowserProcess:
        """Start a driver and a browser. Errors: BrowserNotFound; BrowserLost when it takes too long."""
        token = uuid.uuid4().hex
        playwright: Playwright | None = None
        try:
            async with asyncio.timeout(seconds_max):
                playwright = await async_playwright().start()
                browser, choice = await launch_first(playwright, token)
        except BaseException as error:
            _kill_marked(token)
            if playwright:
                await _stop_driver(playwright, seconds_max)
            if isinstance(error, TimeoutError):
                raise BrowserLost("the browser did not start in time") from error
            raise
        _log.info("browser_started", browser=choice.label, version=browser.version, sandbox=sandbox_wanted())
        return cls(playwright, browser, f"{choice.label} {browser.version}", token)

    async def new_session(self, config: PoolConfig, proxy_url: str) -> PageSession:
        """Make a context, its gate and a blank page. Errors: BrowserLost."""
        return await self._bounded(self._make_session(config, proxy_url), config.operation_seconds)

    async def close_session(self, session: PageSession, seconds_max: float) -> None:
        """Throw a session away; a browser that cannot do so in time is killed."""
        session.gate.close()
        with contextlib.suppress(BrowserLost):
            await self._bounded(session.context.close(), seconds_max)

    async def close(self, seconds_max: float) -> None:
        """End browser and driver in good order, then by force; afterwards nothing of them runs."""
        with contextlib.suppress(BrowserLost):
            await self._bounded(self._browser.close(), seconds_max)
        await _stop_driver(self._playwright, seconds_max)
        self.kill()

    def kill(self) -> None:
        """End the browser and all its children at once; running operations on it raise."""
        self.lost.set()
        _kill_marked(self._token)

    async def _make_session(self, config: PoolConfig, proxy_url: str) -> PageSession:
        context = await self._browser.new_context(
            accept_downloads=False,
            service_workers="block",
            proxy={"server": proxy_url},
            user_agent=config.user_agent or None,
            locale=config.locale,
            viewport={"width": 1280, "height": 900},
        )
        gate = RequestGate(config.monotonic)
        await gate.attach(context)
        page = await context.new_page()
        return PageSession(self, context, page, gate)

    async def _bounded(self, operation: Coroutine[Any, Any, _T], seconds_max: float) -> _T:
        try:
            async with asyncio.timeout(seconds_max):
                return await operation
        except TimeoutError as error:
            _log.warning("browser_frozen", browser=self.label)
            self.kill()
            raise BrowserLost("the browser does not answer") from error
        except PlaywrightError as error:
            # Making and closing contexts fails only with the browser or its driver.
            self.kill()
            raise BrowserLost(error.message) from error


def sweep_orphans() -> int:
    """Kill browsers of ours whose owner is gone; returns how many processes were hit.

    A browser ends with its driver's pipe, also when the worker is killed; this catches the one that was
    frozen at that moment. An owner is known by process id *and* start time, because ids are used again.
    """
    orphans = [row.pid for row in marked(OWNER_SWITCH) if not _has_owner(row.command)]
    return kill_tree(orphans) if orphans else 0


def _has_owner(command: str) -> bool:
    mark = command.split(OWNER_SWITCH, 1)[1].split(" ", 1)[0]
    pid, began, *_ = mark.split(".")
    return not pid.isdigit() or (is_alive(int(pid)) and start_mark(int(pid)) == began)


async def _stop_driver(playwright: Playwright, seconds_max: float) -> None:
    with contextlib.suppress(PlaywrightError, TimeoutError, OSError):
        async with asyncio.timeout(seconds_max):
            await playwright.stop()


def _kill_marked(token: str) -> None:
    if found := marked(owner_mark(token), running()):
        kill_tree(row.pid for row in found)
