"""What every request has in common: ids of the caller's, page sizes, texts with a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from services.domain.errors import FieldViolation, InvalidArgument
from services.domain.profile import clean_text
from services.intake.names import is_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def request_id(text: str) -> str:
    """Return a request_id in its one form.

    Errors: InvalidArgument when it is no UUID.
    """
    if not is_uuid(text):
        description = "is required: make a UUID, and send the same one again when you repeat the request"
        raise InvalidArgument(FieldViolation("request_id", description))
    return str(UUID(text))


def page_size(asked: int, *, default: int, most: int) -> int:
    """Return how many entries a page may have; too many is brought down, as AIP-158 wants it.

    Errors: InvalidArgument when it is negative.
    """
    if asked < 0:
        raise InvalidArgument(FieldViolation("page_size", f"is {asked}; give 0 to {most}"))
    return min(asked or default, most)


def text(value: str, field: str, *, most: int, least: int = 0) -> Iterator[FieldViolation]:
    """Yield what is wrong with a text's length; `value` is cleaned already."""
    if len(value) < least:
        yield FieldViolation(field, f"is required: give {least} to {most} characters")
    elif len(value) > most:
        yield FieldViolation(field, f"has {len(value)} characters, at most {most} are allowed")


def cleaned(value: str, field: str, *, most: int) -> str:
    """Return a text without markup and control characters.

    Errors: InvalidArgument when it is too long.
    """
    plain = clean_text(value)
    refuse(text(plain, field, most=most))
    return plain


def refuse(violations: Iterable[FieldViolation]) -> None:
    """Refuse a request that has violations, with all of them.

    Errors: InvalidArgument.
    """
    found = tuple(violations)
    if found:
        raise InvalidArgument(*found)
