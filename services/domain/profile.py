"""What a business profile may hold: cleaned first, then checked against the contract's limits.

Text is stripped, brought to Unicode NFC, and freed of control characters and markup; so a description
cannot carry a script into a page of ours or of a directory.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from directorybolt.profile.v1 import profile_pb2

from services.domain.errors import FieldViolation, InvalidProfile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.message import Message

URL_CHARACTERS_MAX: Final = 2_048

_CHARACTERS_MAX: Final[Mapping[str, int]] = {
    "business_name": 200,
    "description": 5_000,
    "tagline": 300,
    "phone": 40,
    "email": 254,
    "website": URL_CHARACTERS_MAX,
    "contact_first_name": 100,
    "contact_last_name": 100,
    "contact_email": 254,
    "price_range": 4,
}
_ADDRESS_CHARACTERS_MAX: Final[Mapping[str, int]] = {
    "street_line1": 200,
    "street_line2": 200,
    "city": 100,
    "region": 100,
    "postal_code": 20,
    "country_code": 2,
}
_ENTRIES_MAX: Final[Mapping[str, int]] = {
    "categories": 20,
    "opening_hours": 28,
    "social_links": 20,
    "payment_methods": 20,
}
_WEEKDAYS: Final = frozenset(profile_pb2.Weekday.values()) - {profile_pb2.WEEKDAY_UNSPECIFIED}
_YEARS: Final = range(1000, 2101)

_MARKUP: Final = re.compile(r"<[^>]*>")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE: Final = re.compile(r"[0-9+()./\- ]*(?: ?(?:x|ext\.?) ?[0-9]+)?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NETWORK: Final = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,29}")
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_PRICE: Final = re.compile(r"\${1,4}")


def clean_text(text: str) -> str:
    """Return text without markup and control characters, stripped, in NFC."""
    plain = _CONTROL.sub("", _MARKUP.sub("", text))
    return unicodedata.normalize("NFC", plain).strip()


def clean(business: profile_pb2.BusinessProfile) -> profile_pb2.BusinessProfile:
    """Return a copy of the profile with every text cleaned."""
    copy = profile_pb2.BusinessProfile()
    copy.CopyFrom(business)
    _clean_message(copy)
    return copy


def _clean_message(message: Message) -> None:
    for member, value in message.ListFields():
        if member.message_type is not None:
            for each in value if member.is_repeated else (value,):
                _clean_message(each)
        elif member.type == member.TYPE_STRING:
            cleaned = [clean_text(each) for each in value] if member.is_repeated else clean_text(value)
            _assign(message, member.name, cleaned)


def _assign(message: Message, name: str, value: str | list[str]) -> None:
    if isinstance(value, str):
        setattr(message, name, value)
    else:
        getattr(message, name)[:] = value


def check(business: profile_pb2.BusinessProfile) -> None:
    """Refuse a profile that breaks a limit, naming every field that does.

    Errors: InvalidProfile.
    """
    violations = list(violations_of(business))
    if violations:
        raise InvalidProfile(*violations)


def violations_of(business: profile_pb2.BusinessProfile) -> Iterator[FieldViolation]:
    """Yield what is wrong with a profile, field by field."""
    if not business.business_name:
        yield FieldViolation("business_name", "is required: give the name of the business")
    yield from _too_long(business, _CHARACTERS_MAX)
    yield from _too_many(business)
    yield from _malformed(business)
    if business.HasField("address"):
        yield from _address_violations(business.address)
    yield from _list_violations(business)


def _too_long(message: Message, limits: Mapping[str, int], prefix: str = "") -> Iterator[FieldViolation]:
    for name, limit in limits.items():
        length = len(getattr(message, name))
        if length > limit:
            yield FieldViolation(prefix + name, f"has {length} characters, at most {limit} are allowed")


def _too_many(business: profile_pb2.BusinessProfile) -> Iterator[FieldViolation]:
    for name, limit in _ENTRIES_MAX.items():
        size = len(getattr(business, name))
        if size > limit:
            yield FieldViolation(name, f"has {size} entries, at most {limit} are allowed")


def _malformed(business: profile_pb2.BusinessProfile) -> Iterator[FieldViolation]:
    for name in ("email", "contact_email"):
        value = getattr(business, name)
        if value and not is_email_address(value):
            yield FieldViolation(name, "is no e-mail address: write name@example.com")
    if business.phone and not _PHONE.fullmatch(business.phone):
        yield FieldViolation("phone", "is no telephone number: write +1 555 0100")
    if business.website and not is_web_address(business.website):
        yield FieldViolation("website", "is no web address: write https://example.com")
    if business.year_founded and business.year_founded not in _YEARS:
        yield FieldViolation("year_founded", "is no year between 1000 and 2100")
    if business.price_range and not _PRICE.fullmatch(business.price_range):
        yield FieldViolation("price_range", 'is not "$", "$$", "$$$" or "$$$$"')


def is_email_address(text: str) -> bool:
    """Return whether a text has the shape of an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_web_address(url: str) -> bool:
    """Return whether a text is an http or https address with a host, and no longer than allowed."""
    if len(url) > URL_CHARACTERS_MAX:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _address_violations(address: profile_pb2.Address) -> Iterator[FieldViolation]:
    yield from _too_long(address, _ADDRESS_CHARACTERS_MAX, "address.")
    if address.country_code and not _COUNTRY.fullmatch(address.country_code):
        yield FieldViolation("address.country_code", "is not two capital letters such as US")


def _list_violations(business: profile_pb2.BusinessProfile) -> Iterator[FieldViolation]:
    yield from _entries_too_long("categories", business.categories, 100)
    yield from _entries_too_long("payment_methods", business.payment_methods, 40)
    for index, link in enumerate(business.social_links):
        if not _NETWORK.fullmatch(link.network):
            description = (
                'has to be the network\'s name in lower case, such as "facebook", at most 30 characters'
            )
            yield FieldViolation(f"social_links[{index}].network", description)
        if not is_web_address(link.url):
            yield FieldViolation(f"social_links[{index}].url", "is no web address")
    for index, hours in enumerate(business.opening_hours):
        times = _TIME.fullmatch(hours.open) and _TIME.fullmatch(hours.close)
        if hours.day not in _WEEKDAYS or not times:
            yield FieldViolation(f"opening_hours[{index}]", "needs a day and times such as 09:00")


def _entries_too_long(name: str, entries: Sequence[str], limit: int) -> Iterator[FieldViolation]:
    for index, entry in enumerate(entries):
        if not 1 <= len(entry) <= limit:
            yield FieldViolation(f"{name}[{index}]", f"has to have 1 to {limit} characters")
