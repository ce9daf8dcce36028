"""What an entry of the catalogue may hold: the limits of `directory.proto`, as sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from directorybolt.directory.v1 import directory_pb2
from directorybolt.profile.v1 import profile_pb2

from services.domain.errors import FieldViolation
from services.domain.profile import URL_CHARACTERS_MAX, clean_text, is_web_address
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"directories/[a-z0-9-]{1,63}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NAME_CHARACTERS_MAX: Final = 200
_CATEGORY_CHARACTERS_MAX: Final = 100
_ATTEMPTS_AT_ONCE_MAX: Final = 100
_GAP_SECONDS_MAX: Final = 86_400
_AUTHORITY_MAX: Final = 100
_STATES: Final = frozenset(directory_pb2.DirectoryState.values()) - {
    directory_pb2.DIRECTORY_STATE_UNSPECIFIED
}
_PROFILE_FIELDS: Final = frozenset(
    each.name for each in profile_pb2.BusinessProfile.DESCRIPTOR.fields
) | frozenset(f"address.{each.name}" for each in profile_pb2.Address.DESCRIPTOR.fields)


def normalised(entry: directory_pb2.Directory) -> directory_pb2.Directory:
    """Return an entry as it is stored: its texts cleaned, without etag and without fields unknown to us."""
    stored = directory_pb2.Directory()
    stored.CopyFrom(entry)
    stored.DiscardUnknownFields()
    stored.ClearField("etag")
    stored.display_name = clean_text(entry.display_name)
    stored.category = clean_text(entry.category) or "general"
    return stored


def violations_of(entry: directory_pb2.Directory, prefix: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with an entry; `prefix` says which one it is."""
    if not _NAME.fullmatch(entry.name):
        description = "write directories/{id} with 1 to 63 of a-z, 0-9 and dash"
        yield FieldViolation(prefix + "name", description)
    display_name, category = clean_text(entry.display_name), clean_text(entry.category)
    field = prefix + "display_name"
    yield from arguments.length(display_name, field, least=1, most=_NAME_CHARACTERS_MAX)
    yield from arguments.length(category, prefix + "category", most=_CATEGORY_CHARACTERS_MAX)
    yield from _address_violations(entry, prefix)
    yield from _politeness_violations(entry, prefix)
    yield from _choice_violations(entry, prefix)


def _address_violations(entry: directory_pb2.Directory, prefix: str) -> Iterator[FieldViolation]:
    submittable = entry.state == directory_pb2.DIRECTORY_STATE_SUBMITTABLE
    rule = f"is no http or https address of at most {URL_CHARACTERS_MAX:,} characters"
    if entry.website and not is_web_address(entry.website):
        yield FieldViolation(prefix + "website", rule)
    if submittable and not entry.submission_url:
        yield FieldViolation(prefix + "submission_url", "is required of a directory that can be submitted to")
    elif entry.submission_url and not is_web_address(entry.submission_url):
        yield FieldViolation(prefix + "submission_url", rule)
    if entry.search_url and not is_web_address(entry.search_url):
        yield FieldViolation(prefix + "search_url", rule)
    elif entry.search_url and "{query}" not in entry.search_url:
        yield FieldViolation(prefix + "search_url", "needs {query} where the words go")


def _politeness_violations(entry: directory_pb2.Directory, prefix: str) -> Iterator[FieldViolation]:
    politeness = entry.politeness
    if not 0 <= politeness.attempts_at_once_max <= _ATTEMPTS_AT_ONCE_MAX:
        description = f"has to be 1 to {_ATTEMPTS_AT_ONCE_MAX}, or 0 for 1"
        yield FieldViolation(prefix + "politeness.attempts_at_once_max", description)
    gap = politeness.gap_min
    if not 0 <= gap.seconds + gap.nanos / 1e9 <= _GAP_SECONDS_MAX:
        yield FieldViolation(prefix + "politeness.gap_min", "has to be 0 seconds to a day")


def _choice_violations(entry: directory_pb2.Directory, prefix: str) -> Iterator[FieldViolation]:
    if entry.state not in _STATES:
        yield FieldViolation(prefix + "state", "is required: say whether it can be submitted to")
    if not 0 <= entry.authority <= _AUTHORITY_MAX:
        yield FieldViolation(prefix + "authority", f"has to be 0 to {_AUTHORITY_MAX}")
    for index, code in enumerate(entry.country_codes):
        if not _COUNTRY.fullmatch(code):
            yield FieldViolation(f"{prefix}country_codes[{index}]", "is not two capital letters such as US")
    for index, name in enumerate(entry.required_fields):
        if name not in _PROFILE_FIELDS:
            yield FieldViolation(
                f"{prefix}required_fields[{index}]", f"a profile has no field '{name[:100]}'"
            )
