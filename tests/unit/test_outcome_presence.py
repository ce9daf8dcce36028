"""Whether a business is listed is told by its name and something that is its alone."""

from __future__ import annotations

import pytest

from sandbox.sample_profile import bakery
from services.submitter.attempt_result import ResultKind
from services.submitter.outcome.facts import Link, PageView
from services.submitter.outcome.presence import judge_presence

_NAME = "Rosemary & Rye Bakery"


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (PageView(lines=(_NAME, "+1 (555) 867-0142")), ResultKind.PRESENT),
        (
            PageView(lines=(_NAME,), links=(Link("https://www.rosemary-and-rye.example.com/", "site"),)),
            ResultKind.PRESENT,
        ),
        (PageView(lines=(_NAME, "555 867 0142", "Awaiting review")), ResultKind.PENDING_REVIEW),
        (
            PageView(lines=(_NAME, "555 867 0142", "Awaiting e-mail confirmation")),
            ResultKind.PENDING_CONFIRMATION,
        ),
        (PageView(lines=(f"No listings match “{_NAME}”.",)), ResultKind.ABSENT),
        (PageView(lines=("Keine Treffer",)), ResultKind.ABSENT),
        (PageView(lines=("3 listings found", "Other Bakery")), ResultKind.ABSENT),
        (PageView(lines=(_NAME,), links=(Link("http://s/1", _NAME),)), ResultKind.UNTELLABLE),
        (PageView(lines=("+1 555 867 0142",)), ResultKind.UNTELLABLE),
        (PageView(), ResultKind.UNTELLABLE),
    ],
)
def test_a_search_page_is_judged(page: PageView, kind: ResultKind):
    assert judge_presence(page, bakery()).kind is kind


def test_the_listing_is_named_by_its_link():
    page = PageView(lines=(_NAME, "555 867 0142"), links=(Link("http://s/listing/7", _NAME),))
    found = judge_presence(page, bakery())
    assert found.listing_url == "http://s/listing/7"


def test_a_namesake_is_looked_at_closer_before_anything_is_said():
    page = PageView(lines=(f"2 results for {_NAME}",), links=(Link("http://s/listing/7", _NAME),))
    assert judge_presence(page, bakery()).candidates == ("http://s/listing/7",)


def test_the_badge_of_the_next_entry_is_not_ours():
    page = PageView(
        lines=(_NAME, "555 867 0142", "Other Bakery", "Awaiting review"),
        links=(Link("http://s/listing/7", _NAME), Link("http://s/listing/8", "Other Bakery")),
    )

    assert judge_presence(page, bakery()).kind is ResultKind.PRESENT
