"""What a site shows of a business, wherever the business came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.business import normalise_name, normalise_phone

if TYPE_CHECKING:
    from sandbox.storage import KnownBusiness, Submission

_PHONE_DIGITS_MIN = 7
_BADGES = {"pending_review": "Awaiting review", "pending_confirmation": "Awaiting e-mail confirmation"}


@dataclass(frozen=True)
class Listing:
    """One business as search pages and listing pages show it."""

    reference: str  #: the last part of the listing page's address
    name: str
    phone: str = ""
    website: str = ""
    street: str = ""
    city: str = ""
    region: str = ""
    category: str = ""
    description: str = ""
    badge: str = ""  #: why it is not quite listed; empty when it is

    def matches(self, query: str) -> bool:
        """Whether all words of the query are in it, or the query is its phone number."""
        digits = normalise_phone(query)
        if len(digits) >= _PHONE_DIGITS_MIN and digits == normalise_phone(self.phone):
            return True
        text = normalise_name(f"{self.name} {self.phone} {self.website} {self.city} {self.category}")
        return all(word in text for word in normalise_name(query).split())


def from_submission(submission: Submission) -> Listing:
    """The listing that an accepted POST makes."""
    shown = submission.listing
    return Listing(
        reference=_reference(str(submission.sequence), shown["name"]),
        name=shown["name"],
        phone=shown["phone"],
        website=shown.get("website", ""),
        street=shown.get("street", ""),
        city=shown.get("city", ""),
        region=shown.get("region", ""),
        category=shown.get("category", ""),
        description=shown.get("description", ""),
        badge=_BADGES.get(submission.standing, ""),
    )


def from_known(known: KnownBusiness) -> Listing:
    """The listing that a site claims to have had all along."""
    return Listing(reference=_reference(f"k{known.number}", known.name), name=known.name, phone=known.phone)


def featured(number: int, name: str, category: str, city: str, description: str) -> Listing:
    """A listing that a site starts out with, so that it does not look deserted."""
    slug = normalise_name(name).replace(" ", "")
    return Listing(
        reference=_reference(f"f{number}", name),
        name=name,
        phone=f"(555) 201-{4100 + number * 37}",
        website=f"https://{slug}.example.com",
        city=city,
        category=category,
        description=description,
    )


def _reference(number: str, name: str) -> str:
    return f"{number}-{normalise_name(name).replace(' ', '-')}"
