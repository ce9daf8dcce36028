"""Weighs, for one control, what every signal says it wants. Pure.

Each signal adds its weight times the strength of the hit; contradictions of the control's type rule an
attribute out. The confidence grows with the score and shrinks with the runner-up, so that a control that
two attributes claim alike falls below the threshold and stays empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from services.submitter.mapping import vocabulary
from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.option_kinds import kind_of_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.submitter.mapping.page_model import Control

_HALF_SCORE: Final = 4.0
_RIVAL_SHARE: Final = 0.35
_NEGLIGIBLE: Final = 1.0

#: What each place of text is worth.
_TEXT_WEIGHTS: Final = (
    ("label", 9.0),
    ("aria", 8.0),
    ("placeholder", 6.0),
    ("cell", 7.0),
    ("before", 5.0),
    ("name", 6.0),
    ("id", 5.0),
    ("title", 4.0),
    ("around", 3.0),
)
_TYPE_HINTS: Final = {
    "email": (Attribute.EMAIL, 7.0),
    "tel": (Attribute.PHONE, 6.0),
    "url": (Attribute.WEBSITE, 6.0),
    "textarea": (Attribute.DESCRIPTION, 4.0),
    "richtext": (Attribute.DESCRIPTION, 6.0),
    "search": (Attribute.SEARCH, 12.0),
    "password": (Attribute.PASSWORD, 20.0),
    "file": (Attribute.UPLOAD, 20.0),
}
_AUTOCOMPLETE: Final = {
    "organization": Attribute.BUSINESS_NAME,
    "name": Attribute.CONTACT_FULL_NAME,
    "given-name": Attribute.CONTACT_FIRST_NAME,
    "family-name": Attribute.CONTACT_LAST_NAME,
    "email": Attribute.EMAIL,
    "tel": Attribute.PHONE,
    "tel-national": Attribute.PHONE,
    "url": Attribute.WEBSITE,
    "street-address": Attribute.STREET_LINE1,
    "address-line1": Attribute.STREET_LINE1,
    "address-line2": Attribute.STREET_LINE2,
    "address-level2": Attribute.CITY,
    "address-level1": Attribute.REGION,
    "postal-code": Attribute.POSTAL_CODE,
    "country": Attribute.COUNTRY,
    "country-name": Attribute.COUNTRY,
    "username": Attribute.USERNAME,
    "new-password": Attribute.PASSWORD,
    "current-password": Attribute.PASSWORD,
    "organization-title": Attribute.JOB_TITLE,
    "cc-number": Attribute.CARD,
    "cc-name": Attribute.CARD,
    "bday": Attribute.BIRTHDAY,
}
_MAIL: Final = frozenset({Attribute.EMAIL, Attribute.CONTACT_EMAIL})
_LINKS: Final = frozenset(
    {
        Attribute.WEBSITE,
        Attribute.FACEBOOK,
        Attribute.INSTAGRAM,
        Attribute.LINKEDIN,
        Attribute.TWITTER,
        Attribute.YOUTUBE,
    }
)
_LONG_TEXTS: Final = frozenset(
    {
        Attribute.DESCRIPTION,
        Attribute.TAGLINE,
        Attribute.OPENING_HOURS,
        Attribute.FULL_ADDRESS,
        Attribute.STREET_LINE1,
        Attribute.KEYWORDS,
        Attribute.CATEGORIES,
    }
)
_CHOICES: Final = frozenset(
    {
        Attribute.CATEGORIES,
        Attribute.REGION,
        Attribute.COUNTRY,
        Attribute.CITY,
        Attribute.PRICE_RANGE,
        Attribute.PAYMENT_METHODS,
        Attribute.OPENING_HOURS,
        Attribute.PLAN,
        Attribute.YEAR_FOUNDED,
    }
)
#: What a control of this type can want at all; decoys are always possible.
_POSSIBLE: Final = {
    "email": _MAIL,
    "tel": frozenset({Attribute.PHONE}),
    "url": _LINKS,
    "number": frozenset({Attribute.YEAR_FOUNDED, Attribute.POSTAL_CODE, Attribute.PHONE}),
    "textarea": _LONG_TEXTS,
    "richtext": _LONG_TEXTS,
    "select-one": _CHOICES,
    "select-multiple": _CHOICES,
    "radio-group": _CHOICES,
    "checkbox-group": _CHOICES | {Attribute.TERMS},
    "checkbox": frozenset({Attribute.TERMS}),
    "radio": frozenset({Attribute.TERMS, Attribute.PLAN}),
}
_NEVER_TEXT: Final = frozenset({Attribute.TERMS, Attribute.PLAN})
_CONTACT_SECTION: Final = re.compile(
    r"\b(your (details|contact)|contact person|owner|submitter|about you)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attribute that a control may want, how sure that is, and what said so."""

    attribute: Attribute
    score: float
    #: 0 to 1.
    confidence: float
    #: Names of the signals with what they found, strongest first ("label: business name").
    reasons: tuple[str, ...]


def candidates(control: Control) -> tuple[Candidate, ...]:
    """Weigh all signals of a control; the most likely attribute first, none when nothing speaks."""
    tally = _Tally(control)
    tally.read_autocomplete()
    tally.read_texts()
    tally.read_type()
    tally.read_options()
    tally.read_section()
    return tally.ranked()


class _Tally:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._scores: dict[Attribute, float] = {}
        self._reasons: dict[Attribute, list[tuple[float, str]]] = {}

    def add(self, attribute: Attribute, points: float, reason: str) -> None:
        possible = _POSSIBLE.get(self._control.type)
        if not attribute.is_decoy:
            if possible is not None and attribute not in possible:
                return
            if possible is None and attribute in _NEVER_TEXT:
                return
        self._scores[attribute] = self._scores.get(attribute, 0.0) + points
        self._reasons.setdefault(attribute, []).append((points, reason))

    def read_autocomplete(self) -> None:
        for token in self._control.autocomplete.split():
            if attribute := _AUTOCOMPLETE.get(token):
                self.add(attribute, 13.0, f"autocomplete: {token}")

    def read_texts(self) -> None:
        control = self._control
        seen: set[str] = set()
        for place, weight in _TEXT_WEIGHTS:
            text = str(getattr(control, place))
            if not text or (place != "name" and text in seen):
                continue
            seen.add(text)
            for hit in vocabulary.find(text):
                self.add(hit.attribute, weight * hit.strength, f"{place}: {hit.phrase}")

    def read_type(self) -> None:
        if hint := _TYPE_HINTS.get(self._control.type):
            self.add(hint[0], hint[1], f"type: {self._control.type}")
        # A single tick that speaks of rules, and of nothing to be sent, can hardly be anything else.
        if self._control.type == "checkbox" and Attribute.TERMS in self._scores:
            self.add(Attribute.TERMS, 3.0, "type: checkbox")

    def read_options(self) -> None:
        control = self._control
        if not control.options:
            return
        if found := kind_of_options(control.options):
            self.add(found[0], found[1], "options")
        # The first option of a select is often its only label ("Kind of shop").
        if control.type.startswith("select") and not control.options[0].value:
            for hit in vocabulary.find(control.options[0].label):
                self.add(hit.attribute, 6.0 * hit.strength, f"prompt: {hit.phrase}")

    def read_section(self) -> None:
        if not _CONTACT_SECTION.search(self._control.section):
            return
        for general, personal in (
            (Attribute.BUSINESS_NAME, Attribute.CONTACT_FULL_NAME),
            (Attribute.EMAIL, Attribute.CONTACT_EMAIL),
        ):
            if general in self._scores:
                self.add(personal, self._scores[general] + 1.0, "section: contact")

    def ranked(self) -> tuple[Candidate, ...]:
        rows = sorted(self._scores.items(), key=lambda row: -row[1])
        return tuple(
            Candidate(attribute, score, _confidence(attribute, score, rows), self._said(attribute))
            for attribute, score in rows
            if score >= _NEGLIGIBLE
        )

    def _said(self, attribute: Attribute) -> tuple[str, ...]:
        return tuple(reason for _, reason in sorted(self._reasons[attribute], reverse=True))


def against(candidate: Candidate, rivals: Iterable[Candidate]) -> Candidate:
    """Judge a candidate anew when only these rivals are left."""
    rows = [(rival.attribute, rival.score) for rival in rivals]
    return replace(candidate, confidence=_confidence(candidate.attribute, candidate.score, rows))


def _confidence(attribute: Attribute, score: float, rows: Iterable[tuple[Attribute, float]]) -> float:
    rivals = [points for other, points in rows if other != attribute and not _kin(attribute, other)]
    rivalry = min(max(rivals, default=0.0) / score, 2.0)
    return max(0.0, (1 - 0.5 ** (score / _HALF_SCORE)) * (1 - _RIVAL_SHARE * rivalry))


_KIN: Final = (
    _MAIL,
    frozenset({Attribute.DESCRIPTION, Attribute.TAGLINE}),
    frozenset({Attribute.STREET_LINE1, Attribute.FULL_ADDRESS}),
    frozenset({Attribute.CATEGORIES, Attribute.KEYWORDS}),
)


def _kin(one: Attribute, other: Attribute) -> bool:
    """Whether mistaking one for the other does little harm."""
    return any(one in kin and other in kin for kin in _KIN)
