"""Values are written the way a control wants them, and options chosen by what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.sample_profile import bakery
from services.submitter.mapping.answer import answer
from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.choices import choose
from services.submitter.mapping.page_model import Control, Option
from services.submitter.mapping.text_values import phone_formats, shorten, text_value


@pytest.mark.parametrize(
    ("control", "written"),
    [
        (Control(0), "+1 555 867 0142"),
        (Control(0, pattern=r"[0-9]{3}-[0-9]{3}-[0-9]{4}"), "555-867-0142"),
        (Control(0, pattern=r"\d{10}"), "5558670142"),
        (Control(0, placeholder="(555) 555-5555"), "(555) 867-0142"),
        (Control(0, around="Phone Please use the format 555-123-4567."), "555-867-0142"),
        (Control(0, pattern=r"\+\d+"), "+15558670142"),
        (Control(0, maxlength=10), "5558670142"),
    ],
)
def test_a_phone_number_takes_the_format_that_is_asked_for(control: Control, written: str):
    assert text_value(Attribute.PHONE, control, bakery()) == written


def test_national_numbers_carry_the_trunk_prefix_of_their_country():
    assert "03012345678" in phone_formats("+49 30 12345678", "DE")
    assert "+493012345678" in phone_formats("030 12345678", "DE")


@given(st.text(max_size=400), st.integers(1, 300))
def test_a_shortened_text_keeps_the_limit(text: str, limit: int):
    assert len(shorten(text, limit)) <= limit


def test_a_description_ends_with_a_sentence():
    text = "We bake bread. We roast coffee. We close on Mondays."
    assert shorten(text, 40) == "We bake bread. We roast coffee."
    assert shorten(text, 400) == text


def test_a_limit_that_is_only_written_beside_the_control_counts():
    control = Control(0, type="textarea", around="Short pitch 0 / 140 characters")
    assert len(text_value(Attribute.DESCRIPTION, control, bakery())) <= 140


def test_a_name_too_long_for_a_control_is_not_cut():
    assert answer(Attribute.BUSINESS_NAME, Control(0, maxlength=5), bakery()) is None


def _select(*labels: str) -> Control:
    options = (Option("", "Please choose"), *(Option(str(n), label) for n, label in enumerate(labels, 1)))
    return Control(0, tag="select", type="select-one", options=options)


@pytest.mark.parametrize(
    ("attribute", "labels", "chosen"),
    [
        (Attribute.COUNTRY, ("Austria", "United States", "United Kingdom"), "United States"),
        (Attribute.COUNTRY, ("Österreich", "Vereinigte Staaten"), "Vereinigte Staaten"),
        (Attribute.COUNTRY, ("Autriche", "États-Unis"), "États-Unis"),
        (Attribute.REGION, ("Ohio", "Oklahoma", "Oregon"), "Oregon"),
        (Attribute.CATEGORIES, ("Florists", "Bakeries", "Pets"), "Bakeries"),
        (
            Attribute.CATEGORIES,
            ("Food Retail & Bakeries", "Hospitality & Catering"),
            "Food Retail & Bakeries",
        ),
        (Attribute.CATEGORIES, ("Builders", "Food producers", "Plumbers"), "Food producers"),
        (Attribute.CATEGORIES, ("Lawyers", "Dentists", "Other"), "Other"),
        (Attribute.PRICE_RANGE, ("$ Budget", "$$ Moderate", "$$$ Premium"), "$$ Moderate"),
        (Attribute.PRICE_RANGE, ("Inexpensive", "Moderate", "Expensive"), "Moderate"),
        (Attribute.PLAN, ("Gold, $49 a month", "Basic, free"), "Basic, free"),
    ],
)
def test_an_option_is_chosen_by_its_meaning(attribute: Attribute, labels: tuple[str, ...], chosen: str):
    choice = choose(attribute, _select(*labels), bakery())
    assert choice is not None
    assert [option.label for option in choice.options] == [chosen]


@pytest.mark.parametrize(
    ("attribute", "labels"),
    [
        (Attribute.COUNTRY, ("Austria", "Germany")),
        (Attribute.CATEGORIES, ("Lawyers", "Dentists")),
        (Attribute.PLAN, ("Silver, $19", "Gold, $49")),
    ],
)
def test_no_option_is_taken_when_none_fits(attribute: Attribute, labels: tuple[str, ...]):
    assert choose(attribute, _select(*labels), bakery()) is None


@pytest.mark.parametrize(
    ("name", "label", "labels", "chosen"),
    [
        ("hours[tue][open]", "", ("06:30", "07:00", "18:00"), "07:00"),
        ("x1", "Friday closes", ("7:00 AM", "7:30 PM", "6:00 PM"), "7:30 PM"),
        ("mon_close", "", ("Closed", "17:00"), "Closed"),
        ("h", "Samstag von", ("8:00", "9:00"), "8:00"),
    ],
)
def test_opening_hours_find_their_day(name: str, label: str, labels: tuple[str, ...], chosen: str):
    control = _select(*labels)
    named = Control(0, tag="select", type="select-one", name=name, label=label, options=control.options)
    choice = choose(Attribute.OPENING_HOURS, named, bakery())
    assert choice is not None
    assert choice.options[0].label == chosen


def test_ways_to_pay_are_ticked_and_others_left():
    options = tuple(Option(str(n), label, control=n) for n, label in enumerate(("Cash", "Visa", "Invoice")))
    control = Control(0, type="checkbox-group", options=options)
    found = answer(Attribute.PAYMENT_METHODS, control, bakery())
    assert found is not None
    assert found.ticks == (0, 1)
