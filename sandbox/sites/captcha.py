"""Gatepost Trades: a challenge that only a person may solve, and that nobody can."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sandbox.form import Field, Form, Kind, choices, first
from sandbox.listing import featured
from sandbox.sites.site import Look, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sandbox.form import Received

_TOKEN = "g-recaptcha-response"  # noqa: S105 - the well-known name of the field, not a secret
_CATEGORIES = ("Builders", "Carpenters", "Decorators", "Food producers", "Gardeners", "Plumbers", "Roofers")


class CaptchaSite(Site):
    """The usual markers of a captcha, drawn by ourselves; no token is ever good."""

    look: ClassVar[Look] = Look(
        slug="captcha",
        brand="Gatepost Trades",
        strapline="Checked tradespeople and producers, county by county",
        invitation="List your trade",
        categories=_CATEGORIES,
        featured=(
            featured(1, "Birch & Beam Carpentry", "Carpenters", "Redmond", "Stairs, doors, timber frames."),
            featured(2, "North Slope Roofers", "Roofers", "Bend", "Slate, shingle and metal."),
            featured(3, "Clearwater Plumbing", "Plumbers", "Sisters", "Emergencies answered in an hour."),
        ),
    )
    form: ClassVar[Form] = Form(
        Field("company", "Company or trading name", "name", required=True, length_max=120),
        Field("trade", "Trade", "category", Kind.CHOICE, required=True, choices=choices(*_CATEGORIES)),
        Field("tel", "Telephone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("email", "E-mail", "email", Kind.EMAIL, required=True),
        Field("web", "Website", "website", Kind.URL),
        Field("town", "Town", "city", required=True),
        Field("about", "About your work", "description", required=True, length_max=1500),
        Field("terms", "Terms", kind=Kind.TERMS, required=True),
        Field("offers", "Newsletter", kind=Kind.NEWSLETTER),
    )
    outcome: ClassVar[str] = "SUBMISSION_STATE_NEEDS_HUMAN"
    count: ClassVar[int] = 0

    def routes(self) -> list[BaseRoute]:
        """With the challenge's frame and the script that guards the button."""
        return [
            *super().routes(),
            self.route("/challenge", "challenge", self.challenge),
            self.route("/assets/site.js", "asset", self.script),
        ]

    async def challenge(self, _request: Request) -> Response:
        """What the frame shows."""
        return self.page("captcha/challenge.html")

    async def script(self, _request: Request) -> Response:
        """The script of the form page."""
        return self.ground.pages.script(self.slug)

    def turn_down(self, received: Received) -> Response | None:
        """Refuses: without a token, and with any."""
        problems = self.form.problems(received)
        if not first(received, _TOKEN):
            problems[_TOKEN] = "Please confirm that you are not a robot."
        return self.refuse(received, problems or {_TOKEN: "The reCAPTCHA code is wrong. Please try again."})
