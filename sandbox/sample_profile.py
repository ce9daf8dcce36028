"""A credible business for demo and tests, and as many others like it as are needed."""

from __future__ import annotations

from pathlib import Path

from directorybolt.profile.v1.profile_pb2 import BusinessProfile
from google.protobuf import json_format

_FILE = Path(__file__).parent / "profiles" / "bakery.json"
_EXCHANGE_FIRST = 200
_EXCHANGES = 700
_LINES = 10_000


def bakery() -> BusinessProfile:
    """The sample business, every field filled."""
    return json_format.Parse(_FILE.read_text("utf-8"), BusinessProfile())


def variant(number: int) -> BusinessProfile:
    """Another business like the sample: own name, phone, addresses; the same for the same number.

    Shape: 0 to 6,999,999.
    """
    if not 0 <= number < _EXCHANGES * _LINES:
        raise ValueError(f"no variant {number}: phone numbers end at {_EXCHANGES * _LINES - 1}")
    exchange, line = divmod(number, _LINES)
    profile = bakery()
    profile.business_name = f"{profile.business_name} No. {number}"
    profile.phone = f"+1 555 {_EXCHANGE_FIRST + exchange} {line:04}"
    profile.email = f"shop-{number}@example.com"
    profile.contact_email = f"owner-{number}@example.com"
    profile.website = f"https://bakery-{number}.example.com"
    profile.address.street_line1 = f"{100 + number} Alder Street"
    return profile
