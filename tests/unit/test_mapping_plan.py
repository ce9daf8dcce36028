"""What goes where in a form, and what stays empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.sample_profile import bakery
from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.page_model import (
    Button,
    Control,
    Form,
    FormDocument,
    Option,
    parse_document,
)
from services.submitter.mapping.plan import CONFIDENCE_MIN, FormPlan, plan_page
from services.submitter.mapping.score import candidates


def _plan(*controls: Control, buttons: tuple[Button, ...] = ()) -> FormPlan:
    numbered = [replace(control, index=index, form=0) for index, control in enumerate(controls)]
    anchor = Control(len(numbered), form=0, label="Business name", name="business_name")
    found = plan_page(FormDocument(controls=(*numbered, anchor), buttons=buttons), bakery())
    assert found is not None
    return found


def _wanted(control: Control) -> Attribute | None:
    ranked = candidates(control)
    return ranked[0].attribute if ranked else None


@pytest.mark.parametrize(
    ("control", "attribute"),
    [
        (Control(0, label="Business name *"), Attribute.BUSINESS_NAME),
        (Control(0, label="Firmenname"), Attribute.BUSINESS_NAME),
        (Control(0, label="Nom de l'entreprise"), Attribute.BUSINESS_NAME),
        (Control(0, label="Nombre de la empresa"), Attribute.BUSINESS_NAME),
        (Control(0, name="TITLE", cell="Title:"), Attribute.BUSINESS_NAME),
        (Control(0, autocomplete="section-biz organization"), Attribute.BUSINESS_NAME),
        (Control(0, label="User name"), Attribute.USERNAME),
        (Control(0, label="Your name"), Attribute.CONTACT_FULL_NAME),
        (Control(0, name="contact[first]", label="First name"), Attribute.CONTACT_FIRST_NAME),
        (Control(0, label="Vorname"), Attribute.CONTACT_FIRST_NAME),
        (Control(0, label="E-mail address"), Attribute.EMAIL),
        (Control(0, label="Correo electrónico"), Attribute.EMAIL),
        (Control(0, name="OWNER_EMAIL", cell="Your Email:"), Attribute.CONTACT_EMAIL),
        (Control(0, type="tel"), Attribute.PHONE),
        (Control(0, label="Téléphone"), Attribute.PHONE),
        (Control(0, label="Fax number"), Attribute.FAX),
        (Control(0, label="Web site address", type="url"), Attribute.WEBSITE),
        (Control(0, label="Reciprocal link URL", type="url"), Attribute.RECIPROCAL),
        (Control(0, label="Straße und Hausnummer"), Attribute.STREET_LINE1),
        (Control(0, name="address_1", label="Street address"), Attribute.STREET_LINE1),
        (Control(0, name="address2", label="Address line 2"), Attribute.STREET_LINE2),
        (Control(0, label="Full address"), Attribute.FULL_ADDRESS),
        (Control(0, label="PLZ"), Attribute.POSTAL_CODE),
        (Control(0, label="Code postal"), Attribute.POSTAL_CODE),
        (Control(0, label="Ville"), Attribute.CITY),
        (Control(0, label="State / Province / Region"), Attribute.REGION),
        (Control(0, tag="textarea", type="textarea", label="Describe your business"), Attribute.DESCRIPTION),
        (Control(0, label="Your business in one sentence"), Attribute.TAGLINE),
        (Control(0, label="Year founded", placeholder="YYYY"), Attribute.YEAR_FOUNDED),
        (Control(0, label="Facebook URL", type="url"), Attribute.FACEBOOK),
        (Control(0, label="Coupon code"), Attribute.COUPON),
        (Control(0, label="Type 64 into this box"), Attribute.HONEYPOT),
        (Control(0, type="checkbox", label="I agree to the terms of use"), Attribute.TERMS),
        (Control(0, type="checkbox", label="Ich akzeptiere die AGB"), Attribute.TERMS),
        (Control(0, type="checkbox", label="Send me the monthly newsletter"), Attribute.NEWSLETTER),
        (Control(0, type="checkbox", label="Yes, send me market news every Friday"), Attribute.NEWSLETTER),
        (Control(0, type="password", label="Choose a password"), Attribute.PASSWORD),
        (Control(0, name="q", type="search"), Attribute.SEARCH),
    ],
    ids=lambda value: value.value if isinstance(value, Attribute) else "",
)
def test_a_control_is_recognised_by_what_is_written_around_it(control: Control, attribute: Attribute):
    assert _wanted(control) is attribute


def test_a_control_of_which_nothing_is_known_stays_empty():
    plan = _plan(Control(0, name="field_17", label="Frobnication index"))
    assert [skip.reason for skip in plan.skips] == ["unsure"]


@pytest.mark.parametrize(
    "label", ["Favourite colour", "Message to the editor", "Card number", "Date of birth"]
)
def test_what_a_profile_does_not_hold_stays_empty(label: str):
    plan = _plan(Control(0, label=label, required=True))
    assert [fill.attribute for fill in plan.fills] == [Attribute.BUSINESS_NAME]


def test_two_controls_do_not_get_the_same_part_of_a_profile():
    plan = _plan(Control(0, label="Phone", type="tel"), Control(0, label="Phone", type="tel"))
    assert [fill.attribute for fill in plan.fills].count(Attribute.PHONE) == 1


def test_a_repeated_e_mail_address_is_repeated():
    plan = _plan(Control(0, label="E-mail", type="email"), Control(0, label="Confirm e-mail", type="email"))
    values = [fill.values for fill in plan.fills if fill.action == "text" and "@" in fill.values[0]]
    assert len(values) == 2


def test_a_plain_name_is_the_contact_where_the_business_has_a_control_of_its_own():
    plan = _plan(Control(0, label="Name"))
    assert {fill.attribute for fill in plan.fills} == {Attribute.BUSINESS_NAME, Attribute.CONTACT_FULL_NAME}


def test_a_ticked_newsletter_is_unticked():
    plan = _plan(Control(0, type="checkbox", label="Send me the newsletter", checked=True))
    assert [fill.action for fill in plan.fills if fill.attribute is Attribute.NEWSLETTER] == ["untick"]


def test_a_required_control_that_stays_empty_is_reported():
    plan = _plan(Control(0, label="Frobnication index", required=True))
    assert [skip.control.label for skip in plan.missing] == ["Frobnication index"]


def test_the_plan_that_costs_nothing_is_taken():
    options = (
        Option("2", "Featured links $39.95", selected=True, control=5),
        Option("1", "Regular links free", control=6),
    )
    plan = _plan(Control(0, type="radio-group", name="LINK_TYPE", label="Pricing", options=options))
    assert [fill.ticks for fill in plan.fills if fill.attribute is Attribute.PLAN] == [(6,)]


def test_the_listing_form_is_chosen_beside_search_and_newsletter():
    document = FormDocument(
        forms=(Form(0, role="search"), Form(1), Form(2)),
        controls=(
            Control(0, form=0, name="q", label="Search businesses"),
            Control(1, form=1, label="Business name"),
            Control(2, form=1, label="Phone"),
            Control(3, form=2, label="Market news in your inbox", type="email"),
        ),
        buttons=(
            Button(4, form=0, text="Search"),
            Button(5, form=1, text="Add"),
            Button(6, form=2, text="OK"),
        ),
    )
    plan = plan_page(document, bakery())
    assert plan is not None
    assert plan.form == 1
    assert plan.button is not None
    assert plan.button.index == 5


def test_a_page_without_anything_of_a_business_has_no_plan():
    assert plan_page(FormDocument(controls=(Control(0, label="Favourite colour"),)), bakery()) is None


def test_the_signature_keeps_to_the_structure():
    first = _plan(Control(0, label="Phone", name="phone"))
    filled = _plan(Control(0, label="Phone", name="phone", value="555"))
    changed = _plan(Control(0, label="Phone", name="phone", required=True))
    assert first.signature == filled.signature
    assert first.signature != changed.signature


_TEXT = st.text(max_size=30)
_CONTROLS = st.builds(
    Control,
    index=st.integers(0, 50),
    type=st.sampled_from(["text", "email", "tel", "url", "textarea", "checkbox", "select-one", "password"]),
    name=_TEXT | st.sampled_from(["phone", "email", "url", "company", "honeypot"]),
    label=_TEXT | st.sampled_from(["Business name", "Phone", "E-mail", "Website", "City", "I agree"]),
    autocomplete=st.sampled_from(["", "organization", "tel", "email"]),
    placeholder=_TEXT,
    required=st.booleans(),
    checked=st.booleans(),
    visible=st.booleans(),
    enabled=st.booleans(),
)


@given(st.lists(_CONTROLS, max_size=12))
def test_hidden_and_disabled_controls_are_never_filled(controls: list[Control]):
    numbered = tuple(replace(control, index=index) for index, control in enumerate(controls))
    plan = plan_page(FormDocument(controls=numbered), bakery())
    fills = plan.fills if plan else ()
    assert all(fill.control.visible and fill.control.enabled for fill in fills)
    assert all(fill.confidence >= CONFIDENCE_MIN for fill in fills if fill.action != "untick")
    assert all(fill.action == "untick" or not fill.attribute.is_decoy for fill in fills)


@given(st.lists(_CONTROLS, max_size=12))
def test_every_control_of_the_form_is_accounted_for(controls: list[Control]):
    numbered = tuple(replace(control, index=index) for index, control in enumerate(controls))
    plan = plan_page(FormDocument(controls=numbered), bakery())
    if plan:
        seen = [fill.control.index for fill in plan.fills] + [skip.control.index for skip in plan.skips]
        assert sorted(seen) == list(range(len(numbered)))


def test_radios_of_one_name_are_one_control():
    radio = {"form": 0, "type": "radio", "name": "price", "group": "Price range", "visible": True}
    raw: dict[str, Any] = {
        "url": "",
        "title": "",
        "language": "",
        "forms": [],
        "buttons": [],
        "controls": [
            {**radio, "index": 0, "label": "$", "value": "a", "options": []},
            {**radio, "index": 1, "label": "$$", "value": "b", "options": []},
        ],
    }
    (control,) = parse_document(raw).controls
    assert (control.type, control.label) == ("radio-group", "Price range")
    assert [(option.value, option.control) for option in control.options] == [("a", 0), ("b", 1)]
