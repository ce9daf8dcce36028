"""Nearhand: a form that lives in a script; editors review what it sends."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING, ClassVar, cast

from starlette.responses import JSONResponse

from sandbox.form import Field, Form, Kind, choices
from sandbox.listing import featured
from sandbox.sites.site import Look, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sandbox.form import Received
    from sandbox.storage import Submission

_CATEGORIES = (
    "Bakery",
    "Bar",
    "Bike shop",
    "Coffee shop",
    "Coworking",
    "Gym",
    "Restaurant",
    "Studio",
    "Other",
)


class ScriptedSite(Site):
    """No field has a name; the script checks, sends JSON and shows the answer without a page load."""

    look: ClassVar[Look] = Look(
        slug="scripted",
        brand="Nearhand",
        strapline="Good places within walking distance",
        invitation="Add a place",
        categories=_CATEGORIES,
        featured=(
            featured(1, "Spoke & Wheel", "Bike shop", "Portland", "Repairs while you drink a coffee."),
            featured(2, "Third Floor Studio", "Studio", "Portland", "Daylight studio by the hour."),
            featured(3, "Anvil Gym", "Gym", "Vancouver", "Free weights, no mirrors."),
        ),
    )
    form: ClassVar[Form] = Form(
        Field("name", "Place name", "name", required=True, length_max=80),
        Field("category", "Category", "category", Kind.CHOICE, required=True, choices=choices(*_CATEGORIES)),
        Field(
            "phone",
            "Phone",
            "phone",
            Kind.PHONE,
            required=True,
            pattern=r"\d{3}-\d{3}-\d{4}",
            hint="Please use the format 555-123-4567.",
        ),
        Field("email", "Email", "email", Kind.EMAIL, required=True),
        Field("website", "Website", "website", Kind.URL, required=True),
        Field("address", "Full address", "street", required=True),
        Field("pitch", "Short pitch", "description", required=True, length_max=140),
        Field("terms", "Terms", kind=Kind.TERMS, required=True),
        Field("news", "Newsletter", kind=Kind.NEWSLETTER),
    )
    standing: ClassVar[str] = "pending_review"
    outcome: ClassVar[str] = "SUBMISSION_STATE_PENDING_REVIEW"

    def routes(self) -> list[BaseRoute]:
        """With the script, and the address that it sends to instead of the form's own."""
        return [
            *(route for route in super().routes() if "POST" not in (getattr(route, "methods", None) or ())),
            self.route("/api/places", "submit", self.submit, "POST"),
            self.route("/assets/site.js", "asset", self.script),
        ]

    async def script(self, _request: Request) -> Response:
        """The script of the form page."""
        return self.ground.pages.script(self.slug)

    async def read(self, request: Request) -> Received:
        """The members of a JSON object; what is no object has no members."""
        try:
            body: object = await request.json()
        except (JSONDecodeError, UnicodeDecodeError):
            return {}
        if not isinstance(body, dict):
            return {}
        members = cast("dict[str, object]", body)
        return {name: [str(value)] for name, value in members.items() if value not in (None, False, "")}

    def refuse(self, _received: Received, problems: dict[str, str], /) -> Response:
        """What is wrong, for the script to show."""
        return JSONResponse({"errors": problems}, self.refusal_status)

    async def answer(self, submission: Submission, _request: Request, /) -> Response:
        """What became of it, for the script to show."""
        message = "Thank you! Your place was received and is waiting for review by our editors."
        return JSONResponse({"status": "pending_review", "id": submission.sequence, "message": message}, 201)
