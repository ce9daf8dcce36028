"""The phrases by which sites say what became of a submission, in four languages; found word by word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from services.submitter.mapping.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Said:
    """A phrase, and the line that it was found in."""

    topic: str
    phrase: str
    line: str


@cache
def phrase_table() -> dict[str, tuple[str, ...]]:
    """All phrases by topic, as plain words."""
    text = files("services.submitter.outcome").joinpath("phrases.json").read_text(encoding="utf-8")
    raw = cast("dict[str, list[str]]", json.loads(text))
    return {topic: tuple(" ".join(words_of(each)) for each in phrases) for topic, phrases in raw.items()}


def said(topic: str, lines: Iterable[str]) -> Said | None:
    """Find the first line that speaks of a topic."""
    phrases = phrase_table()[topic]
    for line in lines:
        plain = f" {' '.join(words_of(line))} "
        for phrase in phrases:
            if f" {phrase} " in plain:
                return Said(topic, phrase, line)
    return None
