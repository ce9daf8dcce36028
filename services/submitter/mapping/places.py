"""Names of countries and states, so that a code in a profile finds its option in a form. Pure."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import cast

from services.submitter.mapping.vocabulary import words_of


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    text = files("services.submitter.mapping").joinpath("places.json").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, list[str]]]", json.loads(text))


def _plain(text: str) -> str:
    return " ".join(words_of(text))


@cache
def _all_countries() -> frozenset[str]:
    return frozenset(_plain(name) for names in _table()["countries"].values() for name in names)


@cache
def _all_states() -> frozenset[str]:
    return frozenset(_plain(name) for code, names in _table()["us_states"].items() for name in (code, *names))


def is_country(text: str) -> bool:
    """Whether a text is the name of a country."""
    return _plain(text) in _all_countries()


def is_us_state(text: str) -> bool:
    """Whether a text is the name or code of a state of the United States."""
    return _plain(text) in _all_states()


def country_names(code: str) -> tuple[str, ...]:
    """Give the ways to write a country: its codes and names, plain lower case."""
    names = _table()["countries"].get(code.upper(), [])
    return (code.lower(), *(_plain(name) for name in names))


def country_name(code: str) -> str:
    """Give the English name of a country; the code itself when it is not known."""
    return next(iter(_table()["countries"].get(code.upper(), [])), code)


def region_names(region: str, country_code: str) -> tuple[str, ...]:
    """Give the ways to write a region: as it stands, and code or name of a US state."""
    plain = _plain(region)
    if country_code.upper() == "US":
        for code, names in _table()["us_states"].items():
            spellings = (code.lower(), *(_plain(name) for name in names))
            if plain in spellings:
                return spellings
    return (plain,)


def calling_code(country_code: str) -> tuple[str, str]:
    """Give a country's calling code and trunk prefix; both empty when not known."""
    row = _table()["calling"].get(country_code.upper(), ["", ""])
    return row[0], row[1]
