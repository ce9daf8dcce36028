"""Hearth & High Street: takes a listing once its link in an e-mail was followed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar

from sandbox.form import Field, Form, Kind, choices
from sandbox.listing import featured, from_submission
from sandbox.sites.site import Look, Site, see_other

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sandbox.storage import Submission

_CATEGORIES = (
    "Cafés & bakeries",
    "Children",
    "Galleries",
    "Makers",
    "Wellbeing",
    "Vintage",
    "Wine & spirits",
)


class MailSite(Site):
    """Placeholders instead of labels; field errors come with status 200; the end is in the inbox."""

    look: ClassVar[Look] = Look(
        slug="mail",
        brand="Hearth & High Street",
        strapline="A small magazine about small shops",
        invitation="Tell us about your shop",
        categories=_CATEGORIES,
        featured=(
            featured(1, "Loom & Larder", "Makers", "McMinnville", "Hand-woven linen, and jam."),
            featured(2, "The Quiet Gallery", "Galleries", "Newberg", "Prints and ceramics by people nearby."),
            featured(3, "Second Sunday Vintage", "Vintage", "Portland", "Open on second Sundays only."),
        ),
        cookie_notice="A few cookies help us to learn which stories you like.",
    )
    form: ClassVar[Form] = Form(
        Field("listingTitle", "Name of your shop", "name", required=True, length_max=90),
        Field(
            "listingType",
            "Kind of shop",
            "category",
            Kind.CHOICE,
            required=True,
            choices=choices(*_CATEGORIES),
        ),
        Field("listingText", "Your story", "description", required=True, length_max=2000),
        Field("contactFirst", "First name", required=True),
        Field("contactLast", "Last name", required=True),
        Field("contactEmail", "Your e-mail", "email", Kind.EMAIL, required=True),
        Field("listingPhone", "Phone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("listingUrl", "Website", "website", Kind.URL),
        Field("listingStreet", "Street and number", "street", required=True),
        Field("listingCity", "Town", "city", required=True),
        Field("listingRegion", "State", "region", required=True),
        Field("listingZip", "ZIP", "postal_code", required=True),
        Field("homepage", "Homepage", kind=Kind.TRAP),
        Field("acceptTerms", "Terms", kind=Kind.TERMS, required=True),
        Field("sundayLetter", "Newsletter", kind=Kind.NEWSLETTER),
    )
    standing: ClassVar[str] = "pending_confirmation"
    outcome: ClassVar[str] = "SUBMISSION_STATE_PENDING_CONFIRMATION"
    refusal_status: ClassVar[int] = 200

    def routes(self) -> list[BaseRoute]:
        """With the page after the form, and the link in the letter."""
        return [
            *super().routes(),
            self.route("/add/check-inbox", "thanks", self.check_inbox),
            self.route("/confirm/{token}", "confirm", self.confirm),
        ]

    async def answer(self, submission: Submission, request: Request, /) -> Response:
        """Sends the letter and says so."""
        token = secrets.token_urlsafe(16)
        link = f"{str(request.base_url).rstrip('/')}/{self.slug}/confirm/{token}"
        name = submission.listing["name"]
        self.ground.storage.post_mail(
            submission=submission,
            token=token,
            recipient=submission.listing["email"],
            subject=f"Please validate your listing: {name}",
            body=f"Hello,\n\nplease follow this link to validate the listing of {name}:\n{link}\n",
        )
        return see_other(f"/{self.slug}/add/check-inbox?listing={submission.sequence}")

    async def check_inbox(self, request: Request) -> Response:
        """Says where the letter went."""
        number = request.query_params.get("listing", "")
        submission = self.ground.storage.submission(self.slug, int(number)) if number.isdecimal() else None
        if submission is None:
            return self.error_page(404)
        return self.page("mail/thanks.html", email=submission.listing["email"])

    async def confirm(self, request: Request) -> Response:
        """Lists what the letter was about."""
        submission = self.ground.storage.confirm(self.slug, request.path_params["token"])
        if submission is None:
            return self.error_page(404)
        return see_other(f"/{self.slug}/listing/{from_submission(submission).reference}?new=1")
