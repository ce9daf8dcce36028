"""Reads from the migrations' text who was meant to have which right, and what each function was meant to be.

The migrations are the only place where that is written; a second list would be wrong one day. What they
grant or make by a statement put together at run time is not seen here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COMMENT = re.compile(r"--[^\n]*")
_GRANT = re.compile(
    r"\b(?P<verb>grant|revoke)\s+(?P<privileges>[a-z_,()\s]+?)\s+on\s+(?P<kind>function\s+|table\s+)?"
    r"(?P<names>(?:es|vault)\.[a-z0-9_.,()\s]+?)\s+(?:to|from)\s+(?P<grantees>[a-z0-9_,\s]+?)\s*;",
    re.IGNORECASE,
)
_PRIVILEGE = re.compile(r"([a-z]+)\s*(\([^)]*\))?", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\([^)]*\)")
_FUNCTION = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?function\s+(?P<name>(?:es|vault)\.[a-z0-9_]+)\s*\("
    r"(?P<head>.*?)\$(?P<tag>\w*)\$(?P<body>.*?)\$(?P=tag)\$(?P<tail>[^;]*);"
    r"|\bdrop\s+function\s+(?:if\s+exists\s+)?(?P<dropped>(?:es|vault)\.[a-z0-9_]+)",
    re.IGNORECASE | re.DOTALL,
)
_GUARDED = re.compile(r"\bmake_append_only_v1\('(?P<name>es\.[a-z0-9_]+)'\)", re.IGNORECASE)
_POLICY = re.compile(r"\bcreate\s+policy\s+(?P<policy>\w+)\s+on\s+(?P<name>es\.[a-z0-9_]+)", re.IGNORECASE)
_DEFINER = re.compile(r"\bsecurity\s+definer\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grant:
    """One right of one role; a right to some columns only is marked `(columns)`."""

    on_what: str
    grantee: str
    privilege: str


@dataclass(frozen=True, slots=True)
class Function:
    """The text of a function, and whether it acts as its owner."""

    body: str
    definer: bool


def grants_of(text: str) -> Sequence[Grant]:
    """Return what the statements grant and do not revoke later."""
    granted: dict[Grant, None] = {}
    for found in _GRANT.finditer(_COMMENT.sub("", text)):
        for each in _grants(found):
            if found["verb"].lower() == "grant":
                granted[each] = None
            else:
                granted.pop(each, None)
    return list(granted)


def _grants(found: re.Match[str]) -> Iterator[Grant]:
    privileges = [
        f"{name.lower()} (columns)" if columns else name.lower()
        for name, columns in _PRIVILEGE.findall(found["privileges"])
    ]
    for name in _words(_ARGUMENTS.sub("", found["names"])):
        for grantee in _words(found["grantees"]):
            yield from (Grant(name, grantee, privilege) for privilege in privileges)


def _words(text: str) -> Sequence[str]:
    return [each.strip().lower() for each in text.split(",")]


def functions_of(text: str) -> Mapping[str, Function]:
    """Return the functions by name, each as the last statement made it."""
    made: dict[str, Function] = {}
    for found in _FUNCTION.finditer(text):
        if found["dropped"]:
            made.pop(found["dropped"].lower(), None)
            continue
        definer = _DEFINER.search(found["head"] + found["tail"]) is not None
        made[found["name"].lower()] = Function(found["body"], definer)
    return made


def guarded_by(text: str) -> frozenset[str]:
    """Return the tables that were made append-only."""
    return frozenset(found["name"].lower() for found in _GUARDED.finditer(_COMMENT.sub("", text)))


def policies_of(text: str) -> Mapping[str, frozenset[str]]:
    """Return the policies of each table whose rows tenants may not see of one another."""
    made: dict[str, set[str]] = {}
    for found in _POLICY.finditer(_COMMENT.sub("", text)):
        made.setdefault(found["name"].lower(), set()).add(found["policy"])
    return {name: frozenset(policies) for name, policies in made.items()}
