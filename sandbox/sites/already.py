"""Yellowfinch: has every business already."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sandbox.business import business_key
from sandbox.form import Field, Form, Kind, first
from sandbox.listing import featured, from_known
from sandbox.sites.site import Look, Site

if TYPE_CHECKING:
    from starlette.responses import Response

    from sandbox.form import Received
    from sandbox.listing import Listing


class AlreadySite(Site):
    """First step of the form is a check by name and phone, and the check always finds something."""

    look: ClassVar[Look] = Look(
        slug="already",
        brand="Yellowfinch",
        strapline="Local phone numbers, addresses and opening hours",
        invitation="Add or claim a business",
        categories=(
            "Attorneys",
            "Bakeries",
            "Dentists",
            "Electricians",
            "Hotels",
            "Movers",
            "Pharmacies",
            "Towing",
        ),
        featured=(
            featured(1, "A-Plus Towing", "Towing", "Gresham", "Day and night, all makes."),
            featured(2, "Bright Smile Dental", "Dentists", "Beaverton", "Family dentistry, Saturdays too."),
            featured(3, "Hotel Meridian Park", "Hotels", "Portland", "Ninety rooms by the river."),
            featured(4, "Lopez Electric", "Electricians", "Hillsboro", "Licensed, bonded, insured."),
        ),
    )
    form: ClassVar[Form] = Form(
        Field("bizName", "Business name", "name", required=True, length_max=120),
        Field("bizPhone", "Main phone number", "phone", Kind.PHONE, required=True, length_max=40),
        Field("tos", "Terms", kind=Kind.TERMS, required=True),
        Field("tips", "Newsletter", kind=Kind.NEWSLETTER),
    )
    outcome: ClassVar[str] = "SUBMISSION_STATE_ALREADY_LISTED"
    count: ClassVar[int] = 0

    def turn_down(self, received: Received) -> Response | None:
        """Finds the business, whatever it is."""
        problems = self.form.problems(received)
        if problems:
            return self.refuse(received, problems)
        name, phone = first(received, "bizName"), first(received, "bizPhone")
        known = self.ground.storage.remember(business=business_key(name, phone), name=name, phone=phone)
        return self.page("already/exists.html", listing=from_known(known))

    def listings(self) -> list[Listing]:
        """Those asked for, then those that the site started with."""
        return [*(from_known(known) for known in self.ground.storage.known()), *self.look.featured]
