"""Tells from a search page whether a business is listed: name and phone, or name and web site. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from services.submitter.attempt_result import ResultKind
from services.submitter.mapping.vocabulary import words_of
from services.submitter.outcome.facts import PageView
from services.submitter.outcome.phrases import said
from services.submitter.site_names import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

_PHONE_DIGITS: Final = 7
_PHONE_TAIL: Final = 9
_RESULTS_MIN: Final = 2
_ENTRY_LINES_MAX: Final = 12
_RESULT_WORDS: Final = re.compile(
    r"\b\d+ (listings?|results?|entries|matches|businesses|companies|treffer|resultats?)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Presence:
    """What a search page showed."""

    kind: ResultKind
    signals: tuple[str, ...]
    listing_url: str = ""
    matched_text: str = ""
    #: Pages that bear the name and may hold the rest; looked at when the search page alone cannot tell.
    candidates: tuple[str, ...] = ()


def judge_presence(page: PageView, profile: BusinessProfile) -> Presence:
    """Judge a search page that was answered with 200."""
    named = [line for line in page.lines if _has_name(line, profile)]
    links = tuple(dict.fromkeys(link.url for link in page.links if _has_name(link.text, profile)))
    proof = shown_proof(page, profile)
    if named and proof:
        if not links and _lists_others(page) and not _stands_together(page, profile):
            # Results repeat what was asked for, and branches of a chain share a web site and a number.
            return Presence(ResultKind.UNTELLABLE, ("name_apart",), matched_text=named[0])
        kind = standing(_entry(page, profile))
        return Presence(kind, ("name", proof), next(iter(links), ""), named[0])
    if links:
        return Presence(
            ResultKind.UNTELLABLE, ("name_only",), matched_text=named[0] if named else "", candidates=links
        )
    if nothing := said("no_results", page.lines):
        return Presence(ResultKind.ABSENT, ("no_results_words",), matched_text=nothing.line)
    if _lists_others(page):
        return Presence(ResultKind.ABSENT, ("results_without_it",))
    return Presence(ResultKind.UNTELLABLE, ("no_results_seen",))


def standing(lines: Sequence[str]) -> ResultKind:
    """Tell how a shown listing stands: live, or waiting for a review or a confirmation."""
    if said("pending_confirmation", lines):
        return ResultKind.PENDING_CONFIRMATION
    return ResultKind.PENDING_REVIEW if said("pending_review", lines) else ResultKind.PRESENT


def _entry(page: PageView, profile: BusinessProfile) -> Sequence[str]:
    """The lines of our entry: from its name on, to the next entry's."""
    return next(_entries(page, profile))


def _entries(page: PageView, profile: BusinessProfile) -> Iterator[Sequence[str]]:
    """What stands under each mention of our name, up to another business."""
    others = {link.text for link in page.links if not _has_name(link.text, profile)}
    for number, line in enumerate(page.lines):
        if _has_name(line, profile):
            after = page.lines[number + 1 : number + _ENTRY_LINES_MAX]
            yield [line, *takewhile(lambda each: each not in others, after)]


def _stands_together(page: PageView, profile: BusinessProfile) -> bool:
    """Whether number or web site stand under the name, and not in another business's entry."""
    return any(shown_proof(PageView(lines=tuple(each)), profile) for each in _entries(page, profile))


def shown_proof(page: PageView, profile: BusinessProfile) -> str:
    """Name what on the page belongs to this business alone: "phone" or "website"; empty for nothing."""
    digits = re.sub(r"\D", "", profile.phone)[-_PHONE_TAIL:]
    if len(digits) >= _PHONE_DIGITS and any(digits in re.sub(r"\D", "", line) for line in page.lines):
        return "phone"
    host = host_of(profile.website)
    if host and (
        any(host_of(link.url) == host for link in page.links) or any(host in line for line in page.lines)
    ):
        return "website"
    return ""


def _has_name(text: str, profile: BusinessProfile) -> bool:
    return f" {' '.join(words_of(profile.business_name))} " in f" {' '.join(words_of(text))} "


def _lists_others(page: PageView) -> bool:
    """Whether the page is a list of results: it counts them, or its links share a pattern."""
    if any(_RESULT_WORDS.search(line) for line in page.lines):
        return True
    folders = [
        link.url.rsplit("/", 1)[0]
        for link in page.links
        if re.search(r"listing|business|company|profile|detail", link.url)
    ]
    return any(folders.count(folder) >= _RESULTS_MIN for folder in set(folders))
