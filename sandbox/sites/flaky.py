"""Market Square: its form page fails three times before it works, anew for each business."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sandbox.form import Field, Form, Kind, choices
from sandbox.listing import featured, from_submission
from sandbox.sites.site import Look, Site, see_other

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from sandbox.form import Received
    from sandbox.sites.site import Ground
    from sandbox.storage import Submission

#: Status and Retry-After of the first requests for the form.
_WOES: tuple[tuple[int, int | None], ...] = ((500, None), (429, 1), (500, None))
_CATEGORIES = (
    "Bakery & Café",
    "Butcher & Deli",
    "Crafts",
    "Farm shop",
    "Fashion",
    "Garden & Plants",
    "Services",
)


class FlakySite(Site):
    """Field names that are numbers; 500, 429 and 500 before the form.

    A request for the form does not say whose it is, so the woes begin anew once a business was accepted.
    """

    look: ClassVar[Look] = Look(
        slug="flaky",
        brand="Market Square",
        strapline="Everything your town sells, in one place",
        invitation="Open your stall",
        categories=_CATEGORIES,
        featured=(
            featured(
                1, "Juniper Soap Works", "Crafts", "Hood River", "Small-batch soap from mountain herbs."
            ),
            featured(
                2, "Pasture & Pine", "Farm shop", "Tillamook", "Cheese, eggs and milk from our own herd."
            ),
            featured(3, "Fernweh Plants", "Garden & Plants", "Portland", "House plants and good advice."),
        ),
    )
    form: ClassVar[Form] = Form(
        Field("input_1", "Stall or business name", "name", required=True, length_max=120),
        Field("input_3", "Phone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("input_4", "Email", "email", Kind.EMAIL, required=True),
        Field("input_6", "Website", "website", Kind.URL),
        Field("input_7", "Your business in one sentence", "description", required=True, length_max=160),
        Field("input_8.1", "Street Address", "street", required=True),
        Field("input_8.3", "City", "city", required=True),
        Field("input_8.4", "State / Province / Region", "region", required=True),
        Field("input_8.5", "ZIP / Postal Code", "postal_code", required=True),
        Field(
            "input_12",
            "What do you sell?",
            "category",
            Kind.CHOICE,
            required=True,
            choices=choices(*_CATEGORIES),
        ),
        Field("input_14.1", "Rules of the market", kind=Kind.TERMS, required=True),
        Field("input_15.1", "Newsletter", kind=Kind.NEWSLETTER),
        Field("input_16", "Company", kind=Kind.TRAP),
    )

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._requests_failed = 0

    def reset(self) -> None:
        """The woes begin anew."""
        self._requests_failed = 0

    async def show_form(self) -> Response:
        """The next woe, or the form."""
        if self._requests_failed == len(_WOES):
            return await super().show_form()
        status, retry_after_seconds = _WOES[self._requests_failed]
        self._requests_failed += 1
        return self.error_page(status, retry_after_seconds)

    def accept(self, received: Received) -> Submission:
        """Stores the POST; the next business meets the woes again."""
        self.reset()
        return super().accept(received)

    async def answer(self, submission: Submission, _request: Request, /) -> Response:
        """On to the listing itself."""
        return see_other(f"/{self.slug}/listing/{from_submission(submission).reference}?new=1")
