"""The parts of a business profile that a form can ask for, and what else a control can turn out to be."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Attribute(StrEnum):
    """What a control wants; values that are profile fields carry the field's path."""

    BUSINESS_NAME = "business_name"
    DESCRIPTION = "description"
    TAGLINE = "tagline"
    PHONE = "phone"
    EMAIL = "email"
    WEBSITE = "website"
    STREET_LINE1 = "address.street_line1"
    STREET_LINE2 = "address.street_line2"
    FULL_ADDRESS = "address"
    CITY = "address.city"
    REGION = "address.region"
    POSTAL_CODE = "address.postal_code"
    COUNTRY = "address.country_code"
    CONTACT_FIRST_NAME = "contact_first_name"
    CONTACT_LAST_NAME = "contact_last_name"
    CONTACT_FULL_NAME = "contact_name"
    CONTACT_EMAIL = "contact_email"
    CATEGORIES = "categories"
    KEYWORDS = "keywords"
    OPENING_HOURS = "opening_hours"
    FACEBOOK = "social_links.facebook"
    INSTAGRAM = "social_links.instagram"
    LINKEDIN = "social_links.linkedin"
    TWITTER = "social_links.twitter"
    YOUTUBE = "social_links.youtube"
    YEAR_FOUNDED = "year_founded"
    PAYMENT_METHODS = "payment_methods"
    PRICE_RANGE = "price_range"
    TERMS = "terms"
    PLAN = "plan"

    # What a control can be that a profile has no answer for; these compete, so that they win over a guess.
    NEWSLETTER = "decoy.newsletter"
    HONEYPOT = "decoy.honeypot"
    CAPTCHA = "decoy.captcha"
    SEARCH = "decoy.search"
    USERNAME = "decoy.username"
    PASSWORD = "decoy.password"  # noqa: S105 - the name of a kind of control
    RECIPROCAL = "decoy.reciprocal"
    FAX = "decoy.fax"
    SECOND_PHONE = "decoy.second_phone"
    JOB_TITLE = "decoy.job_title"
    SALUTATION = "decoy.salutation"
    CARD = "decoy.card"
    COUPON = "decoy.coupon"
    BIRTHDAY = "decoy.birthday"
    TAX = "decoy.tax"
    UPLOAD = "decoy.upload"
    COORDINATES = "decoy.coordinates"
    MESSAGE = "decoy.message"

    @property
    def is_decoy(self) -> bool:
        """Whether it must stay as it is."""
        return self.value.startswith("decoy.")


#: Filled in only where exactly one such control is meant.
REPEATABLE: Final = frozenset({Attribute.TERMS, Attribute.OPENING_HOURS})

#: Presence of one of these makes a form one for listings.
BUSINESS_SIGNS: Final = frozenset(
    {
        Attribute.BUSINESS_NAME,
        Attribute.DESCRIPTION,
        Attribute.WEBSITE,
        Attribute.PHONE,
        Attribute.CATEGORIES,
        Attribute.STREET_LINE1,
        Attribute.FULL_ADDRESS,
        Attribute.CITY,
        Attribute.POSTAL_CODE,
        Attribute.CONTACT_FIRST_NAME,
        Attribute.CONTACT_FULL_NAME,
        Attribute.TAGLINE,
        Attribute.OPENING_HOURS,
    }
)
