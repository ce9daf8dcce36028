"""What a form asks, and which answers it takes. Pure: no web, no storage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from sandbox.business import normalise_phone

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a browser sent: the values of each field name, in order.
Received: TypeAlias = dict[str, list[str]]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")
_PHONE_DIGITS = 10


class Kind(StrEnum):
    """How a field is checked."""

    TEXT = "text"
    EMAIL = "email"
    URL = "url"
    PHONE = "phone"
    CHOICE = "choice"  #: one of `choices`
    CHOICES = "choices"  #: any of `choices`
    TERMS = "terms"  #: must be ticked
    TRAP = "trap"  #: no person sees it: must stay empty
    NEWSLETTER = "newsletter"  #: may be ticked, should not be


@dataclass(frozen=True)
class Choice:
    """One option of a select, a radio group or a group of checkboxes."""

    value: str
    label: str


@dataclass(frozen=True)
class Field:
    """One field of a form."""

    name: str  #: what the site calls it
    label: str = ""
    meaning: str = ""  #: what it is in a listing ("name", "phone"); empty for what listings do not show
    kind: Kind = Kind.TEXT
    required: bool = False
    length_max: int = 255
    choices: tuple[Choice, ...] = ()
    pattern: str = ""  #: regular expression for the whole value; empty for none
    hint: str = ""  #: what to write, shown when `pattern` does not fit


class Form:
    """The fields of one form, or of one step of it."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self.by_name = {field.name: field for field in fields}

    def __getitem__(self, name: str) -> Field:
        return self.by_name[name]

    def __add__(self, other: Form) -> Form:
        return Form(*self.fields, *other.fields)

    def problems(self, received: Received) -> dict[str, str]:
        """What is wrong, by field name; empty when the form can be taken."""
        found = ((field.name, _problem(field, received.get(field.name, []))) for field in self.fields)
        return {name: problem for name, problem in found if problem}

    def trapped(self, received: Received) -> bool:
        """Whether a field that no person can see was filled in."""
        return any(first(received, field.name) for field in self.fields if field.kind is Kind.TRAP)

    def listing(self, received: Received) -> dict[str, str]:
        """What a listing shows, by meaning; choices by their label."""
        return {
            field.meaning: _shown(field, first(received, field.name))
            for field in self.fields
            if field.meaning
        }

    def required_meanings(self) -> list[str]:
        """Meanings without which the form is refused, in the order of the form."""
        return [field.meaning for field in self.fields if field.meaning and field.required]


def first(received: Received, name: str) -> str:
    """The first value of a field without blanks around it; empty when it was not sent."""
    return next(iter(received.get(name, [])), "").strip()


def choices(*labels: str) -> tuple[Choice, ...]:
    """Options whose values are numbers, so that only their labels tell what they are."""
    return tuple(Choice(str(number), label) for number, label in enumerate(labels, start=1))


def named_choices(**labels: str) -> tuple[Choice, ...]:
    """Options with values that say something."""
    return tuple(Choice(value, label) for value, label in labels.items())


def _problem(field: Field, values: Sequence[str]) -> str:
    filled = [value.strip() for value in values if value.strip()]
    if not filled:
        return _missing(field) if field.required else ""
    if field.kind in (Kind.CHOICE, Kind.CHOICES):
        known = {choice.value for choice in field.choices}
        return "" if known.issuperset(filled) else f"{field.label}: please choose one of the options."
    return _text_problem(field, filled[0])


def _missing(field: Field) -> str:
    if field.kind is Kind.TERMS:
        return "You must agree to the terms to continue."
    if field.kind is Kind.CHOICE:
        return f"Please choose: {field.label}."
    return f"{field.label} is required."


def _text_problem(field: Field, value: str) -> str:
    if len(value) > field.length_max:
        return f"{field.label} must be {field.length_max} characters or fewer (you entered {len(value)})."
    if field.kind is Kind.EMAIL and not _EMAIL.fullmatch(value):
        return "Please enter a valid e-mail address."
    if field.kind is Kind.URL and not _is_web_address(value):
        return f"{field.label}: Invalid URL. It must start with http:// or https://."
    if field.pattern and not re.fullmatch(field.pattern, value):
        return field.hint
    if field.kind is Kind.PHONE and len(normalise_phone(value)) < _PHONE_DIGITS:
        return "Please enter a valid phone number, including the area code."
    return ""


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "." in (parts.hostname or "")


def _shown(field: Field, value: str) -> str:
    labels = {choice.value: choice.label for choice in field.choices}
    return labels.get(value, value)
