"""Finds the key words of attributes in what is written around a control, in several languages at once.

A longer phrase swallows a shorter one inside it ("e-mail address" is no address, "business name" no name),
which is what keeps plain key words from filling in nonsense.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, cast

from services.submitter.mapping.attributes import Attribute

if TYPE_CHECKING:
    from collections.abc import Iterator

_WEAK: Final = "weak"
_WEAK_FACTOR: Final = 0.6
_BOUNDARY: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_WORD: Final = re.compile(r"[a-z0-9]+")

#: Words that say nothing of what a control wants; they do not thin a match out.
_FILLERS: Final = frozenset(
    [
        "your",
        "the",
        "a",
        "an",
        "of",
        "please",
        "enter",
        "required",
        "optional",
        "input",
        "field",
        "txt",
        "text",
        "form",
        "item",
        "my",
        "our",
        "for",
        "this",
        "is",
        "new",
        "main",
        "value",
        "ihr",
        "ihre",
        "der",
        "die",
        "das",
        "votre",
        "le",
        "la",
        "les",
        "de",
        "du",
        "des",
        "su",
        "tu",
        "el",
        "los",
        "las",
        "business",
        "company",
        "listing",
        "place",
        "shop",
        "store",
        "stall",
        "biz",
        "organization",
        "contact",
        "user",
        "customer",
        "account",
        "add",
        "edit",
        "data",
        "full",
        "owner",
        "person",
        "wir",
        "sie",
        "registered",
        "firm",
        "if",
        "any",
        "not",
        "pflichtfeld",
        "obligatoire",
        "obligatorio",
        "bitte",
    ]
)


def words_of(text: str) -> tuple[str, ...]:
    """Split into plain lower-case words: no accents, camelCase and digits apart."""
    spaced = _BOUNDARY.sub(" ", text).replace("ß", "ss")
    plain = unicodedata.normalize("NFKD", spaced)
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c)).lower()))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A key phrase of an attribute."""

    attribute: Attribute
    words: tuple[str, ...]
    is_weak: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found in a text: how much of the text it explains, 0 to 1."""

    attribute: Attribute
    phrase: str
    strength: float


@dataclass(frozen=True, slots=True)
class _Span:
    phrase: Phrase
    start: int
    end: int

    def swallows(self, other: _Span) -> bool:
        return (
            self.start <= other.start
            and other.end <= self.end
            and self.end - self.start > other.end - other.start
        )


@cache
def _phrases() -> dict[str, tuple[Phrase, ...]]:
    """All phrases by their first word."""
    text = files("services.submitter.mapping").joinpath("keywords.json").read_text(encoding="utf-8")
    table = cast("dict[str, dict[str, list[str]]]", json.loads(text))
    by_first: dict[str, list[Phrase]] = {}
    for name, languages in table.items():
        for language, phrases in languages.items():
            for phrase in phrases:
                words = words_of(phrase)
                by_first.setdefault(words[0], []).append(Phrase(Attribute(name), words, language == _WEAK))
    return {first: tuple(phrases) for first, phrases in by_first.items()}


def find(text: str) -> tuple[Hit, ...]:
    """Find the attributes that a text speaks of, the best hit of each."""
    words = words_of(text)
    spans = list(_spans(words))
    kept = [span for span in spans if not any(other.swallows(span) for other in spans)]
    best: dict[Attribute, Hit] = {}
    for span in kept:
        hit = Hit(span.phrase.attribute, " ".join(span.phrase.words), _strength(span, words))
        if hit.strength > best.get(hit.attribute, _NOTHING).strength:
            best[hit.attribute] = hit
    return tuple(best.values())


_NOTHING: Final = Hit(Attribute.MESSAGE, "", 0.0)


def _spans(words: tuple[str, ...]) -> Iterator[_Span]:
    phrases = _phrases()
    for start, word in enumerate(words):
        for phrase in phrases.get(word, ()):
            end = start + len(phrase.words)
            if words[start:end] == phrase.words:
                yield _Span(phrase, start, end)


def _strength(span: _Span, words: tuple[str, ...]) -> float:
    outside = [word for at, word in enumerate(words) if not span.start <= at < span.end]
    foreign = sum(1 for word in outside if word not in _FILLERS and not word.isdigit())
    length = span.end - span.start
    return (0.45 + 0.55 * length / (length + foreign)) * (_WEAK_FACTOR if span.phrase.is_weak else 1.0)
