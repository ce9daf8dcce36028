"""Townfolk: one plain form; the listing is live at once."""

from __future__ import annotations

from typing import ClassVar

from sandbox.form import Field, Form, Kind, choices
from sandbox.listing import featured
from sandbox.sites.site import Look, Site

_CATEGORIES = (
    "Bakeries",
    "Books & gifts",
    "Florists",
    "Hair & beauty",
    "Home repairs",
    "Pets",
    "Restaurants & cafés",
)


class PlainSite(Site):
    """A form with ordinary names and labels, answered with the link of the listing."""

    look: ClassVar[Look] = Look(
        slug="plain",
        brand="Townfolk",
        strapline="The friendly guide to independent businesses near you",
        invitation="Add your business",
        categories=_CATEGORIES,
        featured=(
            featured(
                1, "Harbor Lane Books", "Books & gifts", "Astoria", "New and second-hand books, with a cat."
            ),
            featured(
                2,
                "Green Door Florist",
                "Florists",
                "Salem",
                "Seasonal flowers from farms within fifty miles.",
            ),
            featured(
                3, "Petersen & Daughter Plumbing", "Home repairs", "Eugene", "Three generations, one van."
            ),
            featured(
                4, "The Copper Kettle", "Restaurants & cafés", "Bend", "All-day breakfast and loose-leaf tea."
            ),
        ),
    )
    form: ClassVar[Form] = Form(
        Field("business_name", "Business name", "name", required=True, length_max=100),
        Field("category", "Category", "category", Kind.CHOICE, required=True, choices=choices(*_CATEGORIES)),
        Field("phone", "Phone number", "phone", Kind.PHONE, required=True, length_max=40),
        Field("email", "E-mail address", "email", Kind.EMAIL, required=True),
        Field("website", "Website", "website", Kind.URL),
        Field("street", "Street address", "street", required=True),
        Field("city", "City", "city", required=True),
        Field("state", "State", "region", required=True),
        Field("zip", "ZIP code", "postal_code", required=True, length_max=10),
        Field("description", "Description", "description", required=True, length_max=1000),
        Field("terms", "Terms", kind=Kind.TERMS, required=True),
        Field("newsletter", "Newsletter", kind=Kind.NEWSLETTER),
    )
