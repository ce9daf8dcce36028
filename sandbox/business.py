"""Who a submitted business is: one key for every spelling of the same name and phone number."""

from __future__ import annotations

import re
import unicodedata

_NORTH_AMERICAN_DIGITS = 11


def normalise_name(name: str) -> str:
    """A name in lower case, without punctuation, accents or doubled blanks."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    kept = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())


def normalise_phone(phone: str) -> str:
    """The digits of a phone number, without the country code 1."""
    digits = re.sub(r"\D", "", phone)
    if len(digits) == _NORTH_AMERICAN_DIGITS and digits.startswith("1"):
        return digits[1:]
    return digits


def business_key(name: str, phone: str) -> str:
    """What the sites count by: the same business has the same key on every site."""
    return f"{normalise_name(name)}|{normalise_phone(phone)}"
