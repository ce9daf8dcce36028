"""Holds back every request that could submit a form, unless a permit is valid at this moment.

Closed by default. `open` takes the instant, on the local monotonic clock, at which the permit ends; the
caller computes it *before* it asks for the permit, so that a process that was frozen in between wakes up
with a closed gate. The clock is read in the handler of each request, with nothing awaited between the
reading and the release.

What counts as submitting: every method but GET, HEAD and OPTIONS, by whatever means (navigation, fetch, XHR);
and, once the form is filled in, a GET that carries what was filled in. Pings, reports and requests to other
sites that carry nothing of the form never pass: they are not the form's, and must not use up its permit.
Sockets are refused whole. Addresses are the egress proxy's business.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, urlsplit

import structlog
from playwright.async_api import Error as PlaywrightError

from services.submitter.site_names import same_site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from playwright.async_api import BrowserContext, Request, Response, Route, WebSocketRoute

_READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NOISE_TYPES: Final = frozenset({"ping", "cspviolationreport", "cspreport"})
_MARKER_CHARACTERS_MIN: Final = 4
_MARKERS_IN_LOOKUP_MAX: Final = 1
_SILENCE_PAGE: Final = files("services.submitter").joinpath("silence_page.js").read_text(encoding="utf-8")

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class SentRequest:
    """A submitting request that was let through, and what became of it."""

    method: str
    path: str
    #: HTTP status of its own answer (a redirect counts as 3xx); 0 while there is none.
    status: int = 0
    #: `Retry-After` of the answer, as sent; empty when absent.
    retry_after: str = ""
    #: The browser's words when the request failed on the way; empty otherwise.
    failure: str = ""
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A submitting request that was refused, and why."""

    method: str
    path: str
    #: "no_permit", "permit_expired" or "permit_used_up".
    reason: str


class RequestGate:
    """Stands between one browser context and the network."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = 0.0
        self._left = 0
        self._was_opened = False
        self._markers: tuple[tuple[str, ...], ...] = ()
        self._sent_by_request: dict[Request, SentRequest] = {}
        self._tried = asyncio.Event()
        self.sent: list[SentRequest] = []
        self.held: list[HeldRequest] = []

    async def attach(self, context: BrowserContext) -> None:
        """Take the context's traffic over; must happen before its first page."""
        await context.add_init_script(_SILENCE_PAGE)
        await context.route("**/*", self._on_route)
        await context.route_web_socket("**/*", _close_socket)
        context.on("response", self._on_response)
        context.on("requestfailed", self._on_failed)

    def arm(self, filled_values: Iterable[str]) -> None:
        """Say what was filled in: from now on a GET that carries it counts as submitting."""
        worth = {value.strip() for value in filled_values if len(value.strip()) >= _MARKER_CHARACTERS_MIN}
        self._markers = tuple(_spellings(value) for value in sorted(worth))

    def open(self, until_monotonic: float, requests_max: int = 1) -> None:
        """Let so many submitting requests through before this instant."""
        self._until = until_monotonic
        self._left = requests_max
        self._was_opened = True
        self._tried.clear()  # what the page tried by itself before is not the click's

    def allow_one_more(self) -> None:
        """Let the next step of a wizard send its request, within the same permit."""
        self._left = 1
        self._tried.clear()

    def close(self) -> None:
        """Let nothing more through."""
        self._left = 0

    @property
    def is_open(self) -> bool:
        """Whether a submitting request would pass now."""
        return self._refusal() == ""

    async def wait_until_tried(self, seconds_max: float) -> bool:
        """Wait for the page to try a submitting request, passed or held; False when it did not."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._tried.wait()
        except TimeoutError:
            return False
        return True

    def _refusal(self) -> str:
        if not self._was_opened:
            return "no_permit"
        if self._monotonic() >= self._until:
            return "permit_expired"
        return "permit_used_up" if self._left <= 0 else ""

    async def _on_route(self, route: Route) -> None:
        request = route.request
        if not request.url.startswith(("http://", "https://")):
            await _let_go(route.abort("blockedbyclient"))
        elif not self._submits(request):
            await _let_go(route.continue_())
        elif self._is_noise(request):
            await _let_go(route.abort("blockedbyclient"))
        else:
            await self._judge(route, request)

    async def _judge(self, route: Route, request: Request) -> None:
        path = urlsplit(request.url).path
        # No await between the reading of the clock and the release: a stop of the process in between is
        # the window that no program can close from inside itself.
        if reason := self._refusal():
            self.held.append(HeldRequest(request.method, path, reason))
            self._tried.set()
            _log.warning("submitting_request_held", method=request.method, reason=reason)
            await _let_go(route.abort("blockedbyclient"))
            return
        self._left -= 1
        sent = SentRequest(request.method, path)
        self.sent.append(sent)
        self._sent_by_request[request] = sent
        self._tried.set()
        await _let_go(route.continue_())

    def _submits(self, request: Request) -> bool:
        if request.method not in _READING_METHODS:
            return True
        if any(sent.method not in _READING_METHODS for sent in self.sent):
            return False  # the form went by POST: what follows it only reads
        allowed = 0 if request.is_navigation_request() else _MARKERS_IN_LOOKUP_MAX
        return self._markers_in(request.url) > allowed

    def _markers_in(self, text: str) -> int:
        return sum(any(spelling in text for spelling in spellings) for spellings in self._markers)

    def _is_noise(self, request: Request) -> bool:
        if request.resource_type in _NOISE_TYPES:
            return True
        if request.is_navigation_request() or same_site(request.url, _page_url(request)):
            return False
        return self._markers_in((request.post_data_buffer or b"").decode(errors="replace")) == 0

    def _on_response(self, response: Response) -> None:
        if sent := self._sent_by_request.get(response.request):
            sent.status = response.status
            sent.retry_after = response.headers.get("retry-after", "")
            sent.answered.set()

    def _on_failed(self, request: Request) -> None:
        sent = self._sent_by_request.get(request)
        if sent and not sent.answered.is_set():
            sent.failure = request.failure or "failed"
            sent.answered.set()


def _spellings(value: str) -> tuple[str, ...]:
    return tuple({value, quote(value), quote_plus(value), quote(value, safe=""), json.dumps(value)[1:-1]})


def _page_url(request: Request) -> str:
    try:
        return request.frame.page.main_frame.url
    except PlaywrightError:  # a worker's request belongs to no frame
        return request.headers.get("referer", "")


async def _close_socket(socket: WebSocketRoute) -> None:
    await socket.close()


async def _let_go(action: Awaitable[None]) -> None:
    """Finish a route; the page may be gone by now, and then there is nobody to answer."""
    try:
        await action
    except PlaywrightError as error:
        _log.debug("route_gone", error=error.message)
