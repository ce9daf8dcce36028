"""A branch of a chain, searched for where only another branch is listed."""

from __future__ import annotations

import pytest

from sandbox.sample_profile import bakery
from services.submitter.attempt_result import ResultKind
from services.submitter.outcome.facts import Link, PageView
from services.submitter.outcome.presence import judge_presence

NAME = bakery().business_name
OTHER = "Rosemary Harbour Branch"
SITE = Link(bakery().website, "Website")
OTHERS = (Link("http://s/listing/8", OTHER), Link("http://s/listing/9", "Third Bakery"), SITE)


@pytest.mark.parametrize("echo", [f"2 results for {NAME}", f"Results for “{NAME}”"])
@pytest.mark.parametrize("shared", ["www.rosemary-and-rye.example.com", bakery().phone])
def test_the_words_that_were_searched_for_are_no_listing(echo: str, shared: str) -> None:
    page = PageView(lines=(echo, OTHER, shared, "Third Bakery"), links=OTHERS)

    assert judge_presence(page, bakery()).kind is ResultKind.UNTELLABLE


def test_an_entry_without_a_link_that_holds_name_and_number_is_a_listing() -> None:
    page = PageView(lines=("3 results", OTHER, NAME, bakery().phone, "Third Bakery"), links=OTHERS)

    assert judge_presence(page, bakery()).kind is ResultKind.PRESENT
