"""Meridian Business Register: one long form with every kind of widget; editors review it."""

from __future__ import annotations

from typing import ClassVar

from sandbox.form import Choice, Field, Form, Kind, named_choices
from sandbox.listing import featured
from sandbox.places import COUNTRIES, US_STATES
from sandbox.sites.site import Look, Site

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HALF_HOURS = tuple(f"{hour:02}:{minute:02}" for hour in range(5, 24) for minute in (0, 30))
_TIMES = (Choice("closed", "Closed"), *(Choice(time, time) for time in _HALF_HOURS))
_CATEGORIES = {
    "accommodation": "Accommodation",
    "automotive": "Automotive",
    "construction": "Construction & Trades",
    "finance": "Financial Services",
    "food_retail": "Food Retail & Bakeries",
    "health": "Health & Medical",
    "hospitality": "Hospitality & Catering",
    "it": "Information Technology",
    "legal": "Legal Services",
    "logistics": "Transport & Logistics",
}


def _hours() -> tuple[Field, ...]:
    return tuple(
        Field(f"hours[{day[:3].lower()}][{end}]", f"{day}, {label}", kind=Kind.CHOICE, choices=_TIMES)
        for day in _DAYS
        for end, label in (("open", "opens at"), ("close", "closes at"))
    )


class LongSite(Site):
    """Selects, radio groups, checkboxes, opening hours, and a description that must be short enough."""

    look: ClassVar[Look] = Look(
        slug="long",
        brand="Meridian Business Register",
        strapline="Verified company information for buyers, suppliers and partners",
        invitation="Register a company",
        categories=tuple(_CATEGORIES.values()),
        featured=(
            featured(
                1, "Calder Freight Forwarding", "Transport & Logistics", "Seattle", "Road, rail and sea."
            ),
            featured(
                2, "Okafor & Lindqvist LLP", "Legal Services", "Boise", "Commercial law for small companies."
            ),
            featured(
                3, "Summit Ridge Roofing", "Construction & Trades", "Spokane", "Commercial roofs since 1974."
            ),
        ),
        cookie_notice="We use cookies to run this register and to understand how it is used.",
    )
    form: ClassVar[Form] = Form(
        Field("listing[title]", "Registered company name", "name", required=True, length_max=120),
        Field("listing[tagline]", "Tagline", length_max=120),
        Field(
            "listing[category]",
            "Line of business",
            "category",
            Kind.CHOICE,
            required=True,
            choices=named_choices(**_CATEGORIES),
        ),
        Field(
            "listing[founded]",
            "Year founded",
            pattern=r"[12]\d{3}",
            hint="Year founded: four digits, please.",
        ),
        Field("listing[description]", "Description", "description", required=True, length_max=500),
        Field("contact[first]", "First name", required=True),
        Field("contact[last]", "Last name", required=True),
        Field("contact[email]", "E-mail", "email", Kind.EMAIL, required=True),
        Field("contact[phone]", "Telephone", "phone", Kind.PHONE, required=True, length_max=40),
        Field("contact[url]", "Company website", "website", Kind.URL, required=True),
        Field("address[line1]", "Address line 1", "street", required=True),
        Field("address[line2]", "Address line 2"),
        Field("address[city]", "Town or city", "city", required=True),
        Field("address[country]", "Country", kind=Kind.CHOICE, required=True, choices=COUNTRIES),
        Field("address[state]", "State", "region", Kind.CHOICE, required=True, choices=US_STATES),
        Field("address[zip]", "Postal code", "postal_code", required=True, length_max=12),
        Field(
            "listing[price]",
            "Price range",
            kind=Kind.CHOICE,
            choices=named_choices(low="$", moderate="$$", high="$$$", luxury="$$$$"),
        ),
        Field(
            "listing[premises]",
            "Customers visit us",
            kind=Kind.CHOICE,
            choices=named_choices(address="At our address", online="Online only", both="Both"),
        ),
        Field(
            "listing[plan]",
            "Plan",
            kind=Kind.CHOICE,
            required=True,
            choices=named_choices(free="Basic entry, free", featured="Featured entry, $49 a month"),
        ),
        Field(
            "payment[]",
            "Payment methods",
            kind=Kind.CHOICES,
            choices=named_choices(
                cash="Cash",
                visa="Visa",
                mastercard="Mastercard",
                amex="American Express",
                invoice="Invoice",
                check="Check",
            ),
        ),
        *_hours(),
        Field("agree", "Terms", kind=Kind.TERMS, required=True),
        Field("updates", "Newsletter", kind=Kind.NEWSLETTER),
    )
    standing: ClassVar[str] = "pending_review"
    outcome: ClassVar[str] = "SUBMISSION_STATE_PENDING_REVIEW"

    days: ClassVar[tuple[str, ...]] = _DAYS
