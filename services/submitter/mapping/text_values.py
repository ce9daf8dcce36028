"""Writes a profile's part the way a text control wants it: short enough, in the right format. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.places import calling_code, country_name, region_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from services.submitter.mapping.page_model import Control

_LIMIT: Final = re.compile(r"(\d{2,5})\s*(?:/\s*)?(?:char|zeichen|caract|signos|letters)", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_DIGIT: Final = re.compile(r"\d")
_EXAMPLE_PHONE: Final = re.compile(r"[+(]?\d[\d ().-]{6,}\d")
_NATIONAL_DIGITS: Final = 10
_DAY_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def text_value(attribute: Attribute, control: Control, profile: BusinessProfile) -> str:
    """Give the text for a control; empty when the profile has none."""
    write = _WRITERS.get(attribute)
    text = write(profile, control) if write else ""
    limit = characters_max(control)
    return shorten(text, limit) if attribute in _MAY_BE_CUT else text if fits(text, limit) else ""


def characters_max(control: Control) -> int:
    """Find the most characters that a control takes, by attribute or words beside it; 0 for no limit."""
    said = [int(found) for found in _LIMIT.findall(f"{control.around} {control.described} {control.label}")]
    return min([limit for limit in (control.maxlength, *said) if limit > 0], default=0)


def fits(text: str, limit: int) -> bool:
    """Whether a text keeps a limit; 0 is no limit."""
    return limit == 0 or len(text) <= limit


def shorten(text: str, limit: int) -> str:
    """Cut at the end of a sentence, else of a word; never within one."""
    if fits(text, limit):
        return text
    kept = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > limit:
            break
        kept = longer
    if kept:
        return kept
    words = text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:-")
    return f"{words}…" if words else text[:limit]


def phone_formats(phone: str, country_code: str) -> tuple[str, ...]:
    """Write a telephone number in the ways that forms ask for: as given, national, bare, E.164."""
    digits = "".join(_DIGIT.findall(phone))
    code, trunk = calling_code(country_code)
    is_international = phone.strip().startswith(("+", "00"))
    bare = digits.removeprefix("00") if is_international else digits
    national = bare.removeprefix(code) if is_international and code and bare.startswith(code) else digits
    if not is_international and trunk:
        national = national.removeprefix(trunk)
    written = (phone, *_national_forms(national, trunk), f"+{code}{national}" if code else phone, bare)
    return tuple(dict.fromkeys(each for each in written if each))


def _national_forms(national: str, trunk: str) -> tuple[str, ...]:
    if trunk or len(national) != _NATIONAL_DIGITS:
        return (f"{trunk}{national}",)
    area, exchange, line = national[:3], national[3:6], national[6:]
    return (f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"{area}.{exchange}.{line}", national)


def _phone(profile: BusinessProfile, control: Control) -> str:
    formats = phone_formats(profile.phone, profile.address.country_code)
    return next(
        (text for text in formats if _matches(text, control) and fits(text, control.maxlength)), profile.phone
    )


def _matches(text: str, control: Control) -> bool:
    """Whether a number keeps the control's pattern, else the shape of its example."""
    if control.pattern:
        try:
            return re.fullmatch(control.pattern, text) is not None
        except re.error:  # written for another dialect
            return True
    for place in (control.placeholder, control.described, control.around):
        if found := _EXAMPLE_PHONE.search(place):
            return _shape(text) == _shape(found[0])
    return True


def _shape(text: str) -> str:
    return _DIGIT.sub("9", text.strip())


def _full_address(profile: BusinessProfile, _: Control) -> str:
    address = profile.address
    street = ", ".join(part for part in (address.street_line1, address.street_line2) if part)
    if address.country_code == "US":
        town = f"{address.city}, {address.region} {address.postal_code}"
    else:
        town = f"{address.postal_code} {address.city}"
    country = country_name(address.country_code) if address.country_code else ""
    return ", ".join(part for part in (street, town.strip(" ,"), country) if part)


def _street(profile: BusinessProfile, control: Control) -> str:
    """Both lines where the form has one control for the street."""
    one_control = control.autocomplete == "street-address" and profile.address.street_line2
    both = f"{profile.address.street_line1}, {profile.address.street_line2}"
    return both if one_control else profile.address.street_line1


def _region(profile: BusinessProfile, control: Control) -> str:
    code = region_names(profile.address.region, profile.address.country_code)[0].upper()
    return code if control.maxlength == 2 else profile.address.region  # noqa: PLR2004


def _full_name(profile: BusinessProfile, _: Control) -> str:
    return f"{profile.contact_first_name} {profile.contact_last_name}".strip()


def _description(profile: BusinessProfile, _: Control) -> str:
    return profile.description or profile.tagline


def _tagline(profile: BusinessProfile, control: Control) -> str:
    if profile.tagline and fits(profile.tagline, characters_max(control)):
        return profile.tagline
    return profile.tagline or shorten(profile.description, 300)


def _social(network: str) -> Callable[[BusinessProfile, Control], str]:
    def write(profile: BusinessProfile, _: Control) -> str:
        return next((link.url for link in profile.social_links if link.network == network), "")

    return write


def hours_text(profile: BusinessProfile) -> str:
    """Write opening hours as people do: one line a day."""
    rows = (f"{_DAY_NAMES[row.day - 1]} {row.open}-{row.close}" for row in profile.opening_hours if row.day)
    return "\n".join(rows)


_MAY_BE_CUT: Final = frozenset({Attribute.DESCRIPTION, Attribute.TAGLINE})
_WRITERS: Final[Mapping[Attribute, Callable[[BusinessProfile, Control], str]]] = {
    Attribute.BUSINESS_NAME: lambda p, _: p.business_name,
    Attribute.DESCRIPTION: _description,
    Attribute.TAGLINE: _tagline,
    Attribute.PHONE: _phone,
    Attribute.EMAIL: lambda p, _: p.email or p.contact_email,
    Attribute.CONTACT_EMAIL: lambda p, _: p.contact_email or p.email,
    Attribute.WEBSITE: lambda p, _: p.website,
    Attribute.STREET_LINE1: _street,
    Attribute.STREET_LINE2: lambda p, _: p.address.street_line2,
    Attribute.FULL_ADDRESS: _full_address,
    Attribute.CITY: lambda p, _: p.address.city,
    Attribute.REGION: _region,
    Attribute.POSTAL_CODE: lambda p, _: p.address.postal_code,
    Attribute.COUNTRY: lambda p, c: (
        p.address.country_code
        if c.maxlength == 2  # noqa: PLR2004
        else country_name(p.address.country_code)
    ),
    Attribute.CONTACT_FIRST_NAME: lambda p, _: p.contact_first_name,
    Attribute.CONTACT_LAST_NAME: lambda p, _: p.contact_last_name,
    Attribute.CONTACT_FULL_NAME: _full_name,
    Attribute.CATEGORIES: lambda p, _: p.categories[0] if p.categories else "",
    Attribute.KEYWORDS: lambda p, _: ", ".join(p.categories),
    Attribute.OPENING_HOURS: lambda p, _: hours_text(p),
    Attribute.FACEBOOK: _social("facebook"),
    Attribute.INSTAGRAM: _social("instagram"),
    Attribute.LINKEDIN: _social("linkedin"),
    Attribute.TWITTER: _social("twitter"),
    Attribute.YOUTUBE: _social("youtube"),
    Attribute.YEAR_FOUNDED: lambda p, _: str(p.year_founded) if p.year_founded else "",
    Attribute.PAYMENT_METHODS: lambda p, _: ", ".join(p.payment_methods),
    Attribute.PRICE_RANGE: lambda p, _: p.price_range,
}
