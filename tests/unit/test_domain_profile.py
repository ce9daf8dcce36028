"""What a business profile may hold: cleaning and checking, as tables."""

from __future__ import annotations

import pytest
from directorybolt.profile.v1 import profile_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidProfile
from services.domain.profile import check, clean, clean_text, is_email_address, is_web_address, violations_of

MONDAY = profile_pb2.WEEKDAY_MONDAY


def profile(**fields: object) -> profile_pb2.BusinessProfile:
    """Return a profile that is fine but for these fields."""
    return profile_pb2.BusinessProfile(**{"business_name": "Kaffee Süd", **fields})  # pyright: ignore[reportArgumentType]


def hours(day: int = MONDAY, opens: str = "09:00", closes: str = "17:30") -> profile_pb2.OpeningHours:
    """Return an opening period."""
    return profile_pb2.OpeningHours(day=day, open=opens, close=closes)  # pyright: ignore[reportArgumentType]


def link(network: str = "facebook", url: str = "https://facebook.com/kaffee") -> profile_pb2.SocialLink:
    """Return a social link."""
    return profile_pb2.SocialLink(network=network, url=url)


@pytest.mark.parametrize(
    ("dirty", "plain"),
    [
        ("  Kaffee Süd \n", "Kaffee Süd"),
        ("<script>alert(1)</script>Kaffee", "alert(1)Kaffee"),
        ("a < b and b > c", "a  c"),
        ("Su\u0308d", "Süd"),
        ("bell\x07 and null\x00", "bell and null"),
        ("first\nsecond\tthird", "first\nsecond\tthird"),
        ("", ""),
    ],
)
def test_text_is_freed_of_markup_control_characters_and_margins(dirty: str, plain: str):
    assert clean_text(dirty) == plain


def test_cleaning_reaches_lists_and_nested_messages_and_leaves_the_original_alone():
    dirty = profile(
        categories=[" Café <b>"],
        address=profile_pb2.Address(city=" Bern "),
        social_links=[link(url=" https://x.example ")],
    )
    cleaned = clean(dirty)
    assert list(cleaned.categories) == ["Café"]
    assert cleaned.address.city == "Bern"
    assert cleaned.social_links[0].url == "https://x.example"
    assert dirty.address.city == " Bern "


@given(st.text())
def test_cleaning_twice_changes_no_more_than_once_does(text: str):
    once = clean_text(text)
    assert clean_text(once) == once


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"business_name": ""}, "business_name"),
        ({"business_name": "x" * 201}, "business_name"),
        ({"description": "x" * 5001}, "description"),
        ({"tagline": "x" * 301}, "tagline"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "1" * 41}, "phone"),
        ({"email": "nobody"}, "email"),
        ({"contact_email": "a b@example.com"}, "contact_email"),
        ({"website": "ftp://example.com"}, "website"),
        ({"website": "https://example.com/" + "x" * 2048}, "website"),
        ({"year_founded": 999}, "year_founded"),
        ({"year_founded": 2101}, "year_founded"),
        ({"price_range": "cheap"}, "price_range"),
        ({"categories": ["x"] * 21}, "categories"),
        ({"categories": [""]}, "categories[0]"),
        ({"payment_methods": ["x" * 41]}, "payment_methods[0]"),
        ({"opening_hours": [hours()] * 29}, "opening_hours"),
        ({"opening_hours": [hours(day=0)]}, "opening_hours[0]"),
        ({"opening_hours": [hours(day=8)]}, "opening_hours[0]"),
        ({"opening_hours": [hours(opens="9:00")]}, "opening_hours[0]"),
        ({"opening_hours": [hours(closes="25:00")]}, "opening_hours[0]"),
        ({"social_links": [link(url="facebook.com/kaffee")]}, "social_links[0].url"),
        ({"social_links": [link(network="Facebook")]}, "social_links[0].network"),
        ({"social_links": [link(network="x" * 31)]}, "social_links[0].network"),
        ({"address": profile_pb2.Address(country_code="che")}, "address.country_code"),
        ({"address": profile_pb2.Address(city="x" * 101)}, "address.city"),
    ],
)
def test_a_profile_beyond_a_limit_is_refused_by_the_name_of_the_field(fields: dict[str, object], field: str):
    with pytest.raises(InvalidProfile) as refused:
        check(profile(**fields))
    assert field in {each.field for each in refused.value.violations}


def test_every_violation_is_named_at_once():
    bad = profile(business_name="", email="x", website="y", price_range="z")
    assert [each.field for each in violations_of(bad)] == ["business_name", "email", "website", "price_range"]


def test_a_profile_at_every_limit_is_fine():
    check(
        profile(
            business_name="x" * 200,
            description="x" * 5000,
            phone="+41 (0)31 555-01 00 ext. 12",
            email="a" * 242 + "@example.com",
            website="https://example.com/" + "x" * 2028,
            categories=["x" * 100] * 20,
            opening_hours=[hours(), hours(opens="22:00", closes="02:00"), hours(closes="24:00")],
            social_links=[link()] * 20,
            payment_methods=["x" * 40] * 20,
            year_founded=2100,
            price_range="$$$$",
            address=profile_pb2.Address(city="x" * 100, country_code="CH"),
        )
    )


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("name@example.com", True),
        ("a@b", False),
        ("a b@example.com", False),
        ("@example.com", False),
        ("", False),
    ],
)
def test_an_e_mail_address_is_known_by_its_shape(text: str, fits: bool):  # noqa: FBT001  # a table
    assert is_email_address(text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("https://example.com", True),
        ("HTTP://EXAMPLE.COM/path?q=1", True),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("//example.com", False),
        ("http://[", False),
    ],
)
def test_a_web_address_is_http_with_a_host(text: str, fits: bool):  # noqa: FBT001  # a table
    assert is_web_address(text) is fits
