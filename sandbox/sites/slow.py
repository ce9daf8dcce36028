"""The Old County Index: takes three seconds for its form, and three more for its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from sandbox.form import Field, Form, Kind, choices
from sandbox.listing import featured
from sandbox.sites.site import Look, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from sandbox.storage import Submission

_CATEGORIES = (
    "Arts & Humanities",
    "Business & Economy",
    "Food & Drink: Bakeries",
    "Food & Drink: Restaurants",
    "Health",
    "Recreation & Sports",
    "Shopping",
    "Society",
)


class SlowSite(Site):
    """The field names of an old family of directories, in a table with labels in the cell beside."""

    look: ClassVar[Look] = Look(
        slug="slow",
        brand="The Old County Index",
        strapline="A human-edited directory of web sites since 2003",
        invitation="Submit Link",
        categories=_CATEGORIES,
        featured=(
            featured(
                1,
                "Cascade Model Railways",
                "Recreation & Sports",
                "Albany",
                "Kits, track and a layout to visit.",
            ),
            featured(
                2, "Willamette Choir", "Arts & Humanities", "Corvallis", "Amateur choir, founded in 1988."
            ),
            featured(3, "Dr. Ines Moreau, Optician", "Health", "Medford", "Eye tests and spectacles."),
            featured(
                4, "County Honey Cooperative", "Shopping", "Ashland", "Raw honey from forty beekeepers."
            ),
        ),
    )
    form: ClassVar[Form] = Form(
        Field(
            "LINK_TYPE",
            "Pricing",
            kind=Kind.CHOICE,
            required=True,
            choices=choices("Regular links", "Featured"),
        ),
        Field("TITLE", "Title", "name", required=True, length_max=100),
        Field("URL", "URL", "website", Kind.URL, required=True),
        Field("DESCRIPTION", "Description", "description", required=True, length_max=800),
        Field("OWNER_NAME", "Your Name", required=True),
        Field("OWNER_EMAIL", "Your Email", "email", Kind.EMAIL, required=True),
        Field("PHONE", "Phone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("ADDRESS", "Address", "street"),
        Field("CITY", "City", "city"),
        Field("STATE", "State", "region"),
        Field("ZIP", "Zip", "postal_code"),
        Field(
            "CATEGORY_ID", "Category", "category", Kind.CHOICE, required=True, choices=choices(*_CATEGORIES)
        ),
        Field("RECPR_URL", "Reciprocal Link URL", kind=Kind.URL),
        Field("DO_MATH", "Type 64 into this box", kind=Kind.TRAP),
        Field("OPT_IN", "Newsletter", kind=Kind.NEWSLETTER),
        Field("AGREERULES", "Rules", kind=Kind.TERMS, required=True),
    )

    async def show_form(self) -> Response:
        """The form, late."""
        await asyncio.sleep(self.ground.slow_seconds)
        return await super().show_form()

    async def answer(self, submission: Submission, request: Request, /) -> Response:
        """The answer, late: by then the POST has long been stored."""
        await asyncio.sleep(self.ground.slow_seconds)
        return await super().answer(submission, request)
