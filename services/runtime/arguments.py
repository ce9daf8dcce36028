"""What requests have in common: ids, names, page sizes, texts with a limit; refused in words that help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from services.domain.errors import FieldViolation, InvalidArgument
from services.domain.profile import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID in its usual form."""
    return _UUID.fullmatch(text) is not None


def uuid(text: str, field: str) -> UUID:
    """Return the UUID that a field spells.

    Errors: InvalidArgument naming `field`.
    """
    if not is_uuid(text):
        raise InvalidArgument(FieldViolation(field, f"write a UUID, not '{text[:200]}'"))
    return UUID(text)


def request_id(text: str) -> str:
    """Return a request_id in its one form.

    Errors: InvalidArgument when it is no UUID.
    """
    if not is_uuid(text):
        description = "is required: make a UUID, and send the same one again when you repeat the request"
        raise InvalidArgument(FieldViolation("request_id", description))
    return str(UUID(text))


def named(name: str, collection: str, field: str = "name") -> UUID:
    """Return the id of a resource name such as `alerts/{uuid}`, where `alerts` is the collection.

    Errors: InvalidArgument naming `field`.
    """
    before, _, last = name.rpartition("/")
    if before != collection or not is_uuid(last):
        raise InvalidArgument(FieldViolation(field, f"write {collection}/{{uuid}}, not '{name[:200]}'"))
    return UUID(last)


def page_size(asked: int, *, default: int, most: int) -> int:
    """Return how many entries a page may have; too many is brought down, as AIP-158 wants it.

    Errors: InvalidArgument when it is negative.
    """
    return min(natural(asked, "page_size") or default, most)


def natural(number: int, field: str) -> int:
    """Return a number that may not be negative.

    Errors: InvalidArgument naming `field`.
    """
    if number < 0:
        raise InvalidArgument(FieldViolation(field, f"is {number}; give 0 or more"))
    return number


def length(value: str, field: str, *, most: int, least: int = 0) -> Iterator[FieldViolation]:
    """Yield what is wrong with a text's length; `value` is cleaned already."""
    if len(value) < least:
        yield FieldViolation(field, f"is required: give {least} to {most} characters")
    elif len(value) > most:
        yield FieldViolation(field, f"has {len(value)} characters, at most {most} are allowed")


def cleaned(value: str, field: str, *, most: int, least: int = 0) -> str:
    """Return a text without markup and control characters.

    Errors: InvalidArgument when it is too long or too short.
    """
    plain = clean_text(value)
    refuse(length(plain, field, most=most, least=least))
    return plain


def refuse(violations: Iterable[FieldViolation]) -> None:
    """Refuse a request that has violations, with all of them.

    Errors: InvalidArgument.
    """
    found = tuple(violations)
    if found:
        raise InvalidArgument(*found)
