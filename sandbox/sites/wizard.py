"""Listwell: three steps on the server; only the last one makes a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sandbox.form import Field, Form, Kind, choices, named_choices
from sandbox.listing import featured, from_submission
from sandbox.places import COUNTRIES
from sandbox.signals import Event
from sandbox.sites.site import Look, Site, see_other

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sandbox.form import Received
    from sandbox.storage import Submission

_CATEGORIES = (
    "Agency",
    "Bakery & patisserie",
    "Consulting",
    "E-commerce",
    "Education",
    "Events",
    "Restaurant",
)
_LAST_STEP = 3
_STEPS = (
    Form(
        Field("company", "Company name", "name", required=True, length_max=100),
        Field("industry", "Industry", "category", Kind.CHOICE, required=True, choices=choices(*_CATEGORIES)),
        Field("company_phone", "Company phone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("company_site", "Website", "website", Kind.URL, required=True),
    ),
    Form(
        Field("address_1", "Street address", "street", required=True),
        Field("address_2", "Suite, floor (optional)"),
        Field("locality", "City", "city", required=True),
        Field("admin_area", "State or province", "region", required=True),
        Field("postcode", "Postcode", "postal_code", required=True),
        Field("country", "Country", kind=Kind.CHOICE, required=True, choices=COUNTRIES),
    ),
    Form(
        Field("person_first", "First name", required=True),
        Field("person_last", "Last name", required=True),
        Field("person_email", "Work e-mail", "email", Kind.EMAIL, required=True),
        Field("headline", "Headline", required=True, length_max=120),
        Field("about", "About the company", "description", required=True, length_max=1200),
        Field(
            "price_level",
            "Price level",
            kind=Kind.CHOICE,
            choices=named_choices(p1="$ Budget", p2="$$ Moderate", p3="$$$ Premium", p4="$$$$ Luxury"),
        ),
        Field("accept", "Terms", kind=Kind.TERMS, required=True),
        Field("product_news", "Newsletter", kind=Kind.NEWSLETTER),
    ),
)


class WizardSite(Site):
    """Each step is a POST of its own; "Continue" is not the end."""

    look: ClassVar[Look] = Look(
        slug="wizard",
        brand="Listwell",
        strapline="Get found by the people who are looking for you",
        invitation="Create a listing",
        categories=_CATEGORIES,
        featured=(
            featured(1, "Paper Lantern Events", "Events", "Seattle", "Weddings, launches, street parties."),
            featured(2, "Brightside Tutoring", "Education", "Tacoma", "Maths and science for every age."),
            featured(3, "Kestrel Brand Studio", "Agency", "Portland", "Names, logos and packaging."),
        ),
    )
    form: ClassVar[Form] = _STEPS[0] + _STEPS[1] + _STEPS[2]

    def routes(self) -> list[BaseRoute]:
        """With the pages of the later steps."""
        return [
            *(route for route in super().routes() if "POST" not in (getattr(route, "methods", None) or ())),
            self.route("/add", "step", self.first_step, "POST"),
            self.route("/add/{draft}/{step:int}", "step", self.step_page),
            self.route("/add/{draft}/2", "step", self.second_step, "POST"),
            self.route("/add/{draft}/3", "submit", self.submit, "POST"),
        ]

    async def show_form(self) -> Response:
        """The first step."""
        return self._step(1, {}, {})

    async def step_page(self, request: Request) -> Response:
        """A later step, empty; unknown drafts begin at the beginning."""
        step, draft = request.path_params["step"], request.path_params["draft"]
        saved = self.ground.storage.draft(draft)
        if saved is None or not 1 < step <= _LAST_STEP:
            return see_other(f"/{self.slug}/add")
        if self._open_step(saved) < step:
            return see_other(f"/{self.slug}/add/{draft}/{self._open_step(saved)}")
        return self._step(step, saved, {})

    async def first_step(self, request: Request) -> Response:
        """Begins a draft."""
        return await self._keep(1, None, request)

    async def second_step(self, request: Request) -> Response:
        """Adds to a draft."""
        draft = request.path_params["draft"]
        if self.ground.storage.draft(draft) is None:
            return see_other(f"/{self.slug}/add")
        return await self._keep(2, draft, request)

    async def read(self, request: Request) -> Received:
        """What the browser sent, and what earlier steps have kept."""
        received = await super().read(request)
        saved = self.ground.storage.draft(request.path_params.get("draft", "")) or {}
        return {**saved, **received}

    def turn_down(self, received: Received) -> Response | None:
        """The last step judges all three."""
        if self._open_step(received) < _LAST_STEP:
            return see_other(f"/{self.slug}/add")
        return super().turn_down(received)

    def refuse(self, received: Received, problems: dict[str, str], /) -> Response:
        """The last step again."""
        return self._step(_LAST_STEP, received, problems)

    async def answer(self, submission: Submission, _request: Request, /) -> Response:
        """On to the listing itself."""
        return see_other(f"/{self.slug}/listing/{from_submission(submission).reference}?new=1")

    async def _keep(self, step: int, draft: str | None, request: Request) -> Response:
        self.note(Event.STEP_RECEIVED)
        received = await self.read(request)
        problems = _STEPS[step - 1].problems(received)
        if problems:
            return self._step(step, received, problems)
        draft = self.ground.storage.save_draft(draft, received)
        return see_other(f"/{self.slug}/add/{draft}/{step + 1}")

    def _step(self, step: int, received: Received, problems: dict[str, str]) -> Response:
        status = self.refusal_status if problems else 200
        form = _STEPS[step - 1]
        return self.page(
            "wizard/add.html", status, step=step, form=form, received=received, problems=problems
        )

    def _open_step(self, received: Received) -> int:
        """The first step whose answers are not in order; the last one judges itself."""
        return next((number for number in (1, 2) if _STEPS[number - 1].problems(received)), _LAST_STEP)
