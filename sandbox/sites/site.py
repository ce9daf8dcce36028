"""What every stand-in directory does; each of the nine overrides what makes it different.

The order of work on a POST never varies: announce it, check it, store it, and only then answer.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from sandbox import listing
from sandbox.business import business_key
from sandbox.connection import Cut
from sandbox.faults import Fault, FaultKind, Place
from sandbox.signals import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from sandbox.faults import Faults
    from sandbox.form import Form, Received
    from sandbox.listing import Listing
    from sandbox.pages import Pages
    from sandbox.signals import Signals
    from sandbox.storage import Storage, Submission


@dataclass(frozen=True)
class Ground:
    """What all sites stand on."""

    storage: Storage
    signals: Signals
    faults: Faults
    pages: Pages
    slow_seconds: float


@dataclass(frozen=True)
class Look:
    """How a site presents itself."""

    slug: str  #: path prefix and id
    brand: str
    strapline: str
    invitation: str  #: text of the links to the form
    categories: tuple[str, ...]
    featured: tuple[Listing, ...]
    cookie_notice: str = ""  #: text of the cookie banner; empty for none


class Site:
    """One stand-in directory."""

    look: ClassVar[Look]
    form: ClassVar[Form]
    standing: ClassVar[str] = "listed"  #: what an accepted POST becomes
    outcome: ClassVar[str] = "SUBMISSION_STATE_LISTED"  #: the state that a submission should reach
    count: ClassVar[int] = 1  #: POSTs per business that the site should have accepted in the end
    refusal_status: ClassVar[int] = 422

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.slug = self.look.slug

    def mount(self) -> Mount:
        """The site under its path prefix."""
        return Mount(f"/{self.slug}", routes=self.routes())

    def routes(self) -> list[BaseRoute]:
        """The pages that all sites have; sites with more pages add theirs."""
        return [
            self.route("/", "home", self.home),
            self.route("/add", "form", self.form_page),
            self.route("/add", "submit", self.submit, "POST"),
            self.route("/search", "search", self.search),
            self.route("/listing/{reference}", "listing", self.listing_page),
            self.route("/newsletter", "newsletter", self.newsletter, "POST"),
            self.route("/assets/style.css", "asset", self.style),
        ]

    def route(
        self, path: str, kind: str, handler: Callable[[Request], Awaitable[Response]], method: str = "GET"
    ) -> Route:
        """A page whose requests are counted under its kind."""

        @functools.wraps(handler)
        async def _counted(request: Request) -> Response:
            self.ground.signals.hit(self.slug, f"{request.method} {kind}")
            return await handler(request)

        return Route(path, _counted, methods=[method])

    def reset(self) -> None:
        """Forgets what the site knows beyond storage and signals."""

    def note(self, event: Event) -> None:
        """Announces an event of this site."""
        self.ground.signals.note(self.slug, event)

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page of this site."""
        shared: dict[str, Any] = {
            "site": self.look,
            "query": "",
            "received": {},
            "problems": {},
            "form": self.form,
        }
        return self.ground.pages.page(template, status, shared | context)

    # The pages of a visitor.

    async def home(self, _request: Request) -> Response:
        """The home page."""
        return self.page("home.html", listings=self.listings()[:6])

    async def search(self, request: Request) -> Response:
        """The listings that match a query."""
        query = request.query_params.get("q", "")
        found = [entry for entry in self.listings() if entry.matches(query)]
        return self.page("search.html", query=query, listings=found)

    async def listing_page(self, request: Request) -> Response:
        """One listing."""
        reference = request.path_params["reference"]
        for entry in self.listings():
            if entry.reference == reference:
                return self.page("listing.html", listing=entry, fresh="new" in request.query_params)
        return self.error_page(404)

    async def newsletter(self, _request: Request) -> Response:
        """The answer to the newsletter box in the footer, which is not the form."""
        return self.page("notice.html", title="Thanks for subscribing", text="Our next letter will find you.")

    async def style(self, _request: Request) -> Response:
        """The style sheet."""
        return self.ground.pages.style(self.slug)

    def listings(self) -> list[Listing]:
        """Accepted so far, newest first, then those that the site started with."""
        accepted = [listing.from_submission(row) for row in self.ground.storage.submissions(self.slug)]
        return [*reversed(accepted), *self.look.featured]

    # The form and its answer.

    async def form_page(self, _request: Request) -> Response:
        """The page of the form, unless a fault strikes."""
        self.note(Event.FORM_REQUESTED)
        response = await self.struck(Place.FORM) or await self.show_form()
        if response.status_code == HTTPStatus.OK:
            response.background = BackgroundTask(self.note, Event.FORM_SERVED)
        return response

    async def submit(self, request: Request) -> Response:
        """The answer to a POST of the form, unless a fault strikes."""
        self.note(Event.POST_RECEIVED)
        response = await self.struck(Place.POST) or await self._settle(await self.read(request), request)
        response.background = BackgroundTask(self.note, Event.ANSWERED)
        return response

    async def show_form(self) -> Response:
        """The empty form."""
        return self.page(f"{self.slug}/add.html")

    async def read(self, request: Request) -> Received:
        """What the browser sent."""
        received: Received = {}
        for name, value in (await request.form()).multi_items():
            if isinstance(value, str):
                received.setdefault(name, []).append(value.replace("\r\n", "\n"))
        return received

    def turn_down(self, received: Received) -> Response | None:
        """What a visitor sees whose POST is not accepted; None when it is in order."""
        if self.form.trapped(received):
            self.note(Event.TRAPPED)
            return self.page("notice.html", 403, title="Not accepted", text="This looks automated to us.")
        problems = self.form.problems(received)
        return self.refuse(received, problems) if problems else None

    def refuse(self, received: Received, problems: dict[str, str], /) -> Response:
        """The form again, with what was sent and what is wrong with it."""
        return self.page(f"{self.slug}/add.html", self.refusal_status, received=received, problems=problems)

    def accept(self, received: Received) -> Submission:
        """Stores a POST that is in order."""
        shown = self.form.listing(received)
        submission = self.ground.storage.accept(
            site=self.slug,
            business=business_key(shown["name"], shown["phone"]),
            standing=self.standing,
            fields=received,
            listing=shown,
        )
        self.note(Event.ACCEPTED)
        return submission

    async def answer(self, submission: Submission, _request: Request, /) -> Response:
        """What a visitor sees after an accepted POST."""
        return self.page(f"{self.slug}/thanks.html", listing=listing.from_submission(submission))

    async def _settle(self, received: Received, request: Request) -> Response:
        refusal = self.turn_down(received)
        if refusal is not None:
            return refusal
        submission = self.accept(received)
        return await self.struck(Place.ANSWER) or await self.answer(submission, request)

    # When things go wrong.

    async def struck(self, place: Place) -> Response | None:
        """What an ordered fault makes of the request; None when it goes on as usual."""
        fault = self.ground.faults.take(self.slug, place)
        if fault is None:
            return None
        if fault.kind is FaultKind.STATUS:
            return self.error_page(fault.status, fault.retry_after_seconds)
        if fault.kind is FaultKind.DROP_AFTER_ACCEPT:
            return Cut()
        return await self._held(fault)

    def error_page(self, status: int, retry_after_seconds: int | None = None) -> Response:
        """The bare page of a web server in trouble."""
        response = self.ground.pages.page("error.html", status, {"status": status})
        if retry_after_seconds is not None:
            response.headers["Retry-After"] = str(retry_after_seconds)
        return response

    async def _held(self, fault: Fault) -> Response | None:
        self.note(Event.HELD)
        await fault.released.wait()
        return Cut() if self.ground.faults.ended else None


def see_other(path: str) -> Response:
    """A redirect after a POST, so that a reload does not send it again."""
    return RedirectResponse(path, 303)
