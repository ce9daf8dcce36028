"""Each stand-in directory keeps its rules, asked over HTTP as a browser would."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest

from sandbox.catalogue import catalogue, expected
from sandbox.form import Kind
from sandbox.sample_profile import bakery, variant
from sandbox.sites import SITES
from tests.doubles.careful_visitor import FILLED, FILLED_STEPS

if TYPE_CHECKING:
    import httpx

    from sandbox.client import SandboxClient

pytest_plugins = ["tests.fix_sandbox"]

NAME, PHONE = bakery().business_name, bakery().phone
SLUGS = [site.look.slug for site in SITES]
#: Sites whose form is one POST of a form, and that accept it.
ACCEPTING = ["plain", "long", "slow", "flaky", "mail"]
#: A field that each site insists on, and what it says without.
NEEDED = {
    "plain": ("street", "Street address is required."),
    "long": ("address[state]", "Please choose: State."),
    "slow": ("OWNER_NAME", "Your Name is required."),
    "flaky": ("input_7", "Your business in one sentence is required."),
    "already": ("bizPhone", "Main phone number is required."),
    "mail": ("listingCity", "Town is required."),
    "captcha": ("town", "Town is required."),
}
TRAPS = {"slow": "DO_MATH", "flaky": "input_16", "mail": "homepage"}


async def _send(sandbox: SandboxClient, site: str, **changes: str) -> httpx.Response:
    return await sandbox.web.post(f"/{site}/add", data={**FILLED[site], **changes})


async def _follow(sandbox: SandboxClient, response: httpx.Response) -> httpx.Response:
    assert response.status_code == 303
    return await sandbox.web.get(response.headers["location"])


async def _through_the_wizard(sandbox: SandboxClient) -> httpx.Response:
    response = await sandbox.web.post("/wizard/add", data=FILLED_STEPS[0])
    for step in FILLED_STEPS[1:]:
        assert response.status_code == 303
        response = await sandbox.web.post(response.headers["location"], data=step)
    return response


async def _count(sandbox: SandboxClient, site: str) -> int:
    return await sandbox.count(site, name=NAME, phone=PHONE)


@pytest.mark.parametrize("site", SLUGS)
async def test_home_search_and_style_sheet_are_served(sandbox: SandboxClient, site: str):
    for path in ("/", "/search?q=", "/assets/style.css"):
        assert (await sandbox.web.get(f"/{site}{path}")).status_code == 200


async def test_plain_lists_at_once_and_links_the_listing(sandbox: SandboxClient):
    answer = await _send(sandbox, "plain")

    assert answer.status_code == 200
    assert "Your listing is live" in answer.text
    link = re.search(r'href="(/plain/listing/[^"]+)"', answer.text)
    assert link is not None
    assert html.escape(NAME) in (await sandbox.web.get(link[1])).text
    assert await _count(sandbox, "plain") == 1


async def test_long_puts_an_entry_under_review(sandbox: SandboxClient):
    answer = await _send(sandbox, "long")

    assert "pending review" in answer.text
    (row,) = await sandbox.submissions("long")
    assert row["standing"] == "pending_review"
    assert row["fields"]["payment[]"] == ["cash", "visa"]
    assert row["fields"]["hours[tue][open]"] == ["07:00"]
    assert row["listing"]["category"] == "Food Retail & Bakeries"


async def test_long_refuses_a_description_above_its_limit_and_counts_line_ends_once(sandbox: SandboxClient):
    line_ends_as_browsers_send_them = "x\r\n" * 250

    refused = await _send(sandbox, "long", **{"listing[description]": "x" * 501})
    taken = await _send(sandbox, "long", **{"listing[description]": line_ends_as_browsers_send_them})

    assert refused.status_code == 422
    assert "500 characters or fewer (you entered 501)" in refused.text
    assert taken.status_code == 200


async def test_the_wizard_lists_after_its_third_step_only(sandbox: SandboxClient):
    first = await sandbox.web.post("/wizard/add", data=FILLED_STEPS[0])
    second = await sandbox.web.post(first.headers["location"], data=FILLED_STEPS[1])

    assert "not published yet" in (await sandbox.web.get(second.headers["location"])).text
    assert await sandbox.counts("wizard") == {}
    third = await sandbox.web.post(second.headers["location"], data=FILLED_STEPS[2])
    assert "Your listing is live" in (await _follow(sandbox, third)).text
    assert await _count(sandbox, "wizard") == 1
    (row,) = await sandbox.submissions("wizard")
    assert row["listing"]["city"] == "Portland"


async def test_the_wizard_shows_a_step_again_that_is_not_in_order(sandbox: SandboxClient):
    answer = await sandbox.web.post("/wizard/add", data={**FILLED_STEPS[0], "company_site": "no address"})

    assert answer.status_code == 422
    assert "Invalid URL" in answer.text
    assert html.escape(NAME) in answer.text


async def test_the_wizard_lets_nobody_skip_a_step(sandbox: SandboxClient):
    first = await sandbox.web.post("/wizard/add", data=FILLED_STEPS[0])
    third = first.headers["location"].removesuffix("/2") + "/3"

    assert (await sandbox.web.get(third)).headers["location"].endswith("/2")
    assert (await sandbox.web.post(third, data=FILLED_STEPS[2])).headers["location"] == "/wizard/add"
    assert (await sandbox.web.get("/wizard/add/unknown/2")).headers["location"] == "/wizard/add"
    assert await sandbox.counts("wizard") == {}


async def test_the_wizard_keeps_earlier_steps_when_the_last_one_is_refused(sandbox: SandboxClient):
    first = await sandbox.web.post("/wizard/add", data=FILLED_STEPS[0])
    second = await sandbox.web.post(first.headers["location"], data=FILLED_STEPS[1])
    third = second.headers["location"]

    refused = await sandbox.web.post(third, data={**FILLED_STEPS[2], "accept": ""})
    taken = await sandbox.web.post(third, data=FILLED_STEPS[2])

    assert refused.status_code == 422
    assert "You must agree to the terms" in refused.text
    assert taken.status_code == 303


async def test_scripted_takes_json_and_reviews_it(sandbox: SandboxClient):
    answer = await sandbox.web.post("/scripted/api/places", json=FILLED["scripted"])

    assert answer.status_code == 201
    assert answer.json()["status"] == "pending_review"
    assert await _count(sandbox, "scripted") == 1


async def test_scripted_says_how_it_wants_the_phone_number(sandbox: SandboxClient):
    body = {**FILLED["scripted"], "phone": PHONE, "terms": False}

    answer = await sandbox.web.post("/scripted/api/places", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"] == {
        "phone": "Please use the format 555-123-4567.",
        "terms": "You must agree to the terms to continue.",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_scripted_survives_what_is_no_json_object(sandbox: SandboxClient, body: bytes):
    answer = await sandbox.web.post("/scripted/api/places", content=body)

    assert answer.status_code == 422


async def test_slow_lists_in_the_end(sandbox: SandboxClient):
    assert (await sandbox.web.get("/slow/add")).status_code == 200
    answer = await _send(sandbox, "slow")

    assert "Your site is now listed" in answer.text
    assert await _count(sandbox, "slow") == 1


async def test_flaky_fails_three_times_before_its_form_and_anew_for_the_next_business(sandbox: SandboxClient):
    async def statuses() -> list[tuple[int, str | None]]:
        answers = [await sandbox.web.get("/flaky/add") for _ in range(5)]
        return [(answer.status_code, answer.headers.get("retry-after")) for answer in answers]

    woes = [(500, None), (429, "1"), (500, None), (200, None), (200, None)]
    assert await statuses() == woes
    assert "Your listing is live" in (await _follow(sandbox, await _send(sandbox, "flaky"))).text
    assert await statuses() == woes
    assert await _count(sandbox, "flaky") == 1


async def test_already_has_every_business_and_takes_none(sandbox: SandboxClient):
    answer = await _send(sandbox, "already")

    assert "A listing for this business exists already" in answer.text
    assert await sandbox.counts("already") == {}
    assert (await sandbox.events("already"))["accepted"] == 0
    assert html.escape(NAME) in (await sandbox.web.get("/already/search", params={"q": PHONE})).text


async def test_mail_lists_what_its_letter_confirms(sandbox: SandboxClient):
    page = await _follow(sandbox, await _send(sandbox, "mail"))

    assert "Check your inbox to validate your listing" in page.text
    (letter,) = await sandbox.mails("mail")
    assert letter["recipient"] == bakery().contact_email
    assert NAME in letter["body"]
    link = re.search(r"http\S+", letter["body"])
    assert link is not None
    assert "Awaiting e-mail confirmation" in (await sandbox.web.get("/mail/search")).text
    assert "Your listing is live" in (await _follow(sandbox, await sandbox.web.get(link[0]))).text
    (row,) = await sandbox.submissions("mail")
    assert row["standing"] == "listed"
    assert "Awaiting" not in (await sandbox.web.get("/mail/search")).text


async def test_mail_confirms_nothing_that_it_has_not_sent(sandbox: SandboxClient):
    assert (await sandbox.web.get("/mail/confirm/guess")).status_code == 404
    assert (await sandbox.web.get("/mail/add/check-inbox?listing=7")).status_code == 404


@pytest.mark.parametrize("token", ["", "forged"])
async def test_captcha_takes_nothing_with_or_without_a_token(sandbox: SandboxClient, token: str):
    answer = await _send(sandbox, "captcha", **{"g-recaptcha-response": token})

    assert answer.status_code == 422
    assert ("code is wrong" if token else "not a robot") in answer.text
    assert await sandbox.counts("captcha") == {}


async def test_captcha_shows_the_usual_markers(sandbox: SandboxClient):
    page = (await sandbox.web.get("/captcha/add")).text

    for marker in ('class="g-recaptcha"', "data-sitekey=", 'title="reCAPTCHA"', "g-recaptcha-response"):
        assert marker in page


@pytest.mark.parametrize("site", list(NEEDED))
async def test_a_missing_field_is_named_and_the_others_are_kept(sandbox: SandboxClient, site: str):
    field, complaint = NEEDED[site]

    answer = await _send(sandbox, site, **{field: ""})

    assert answer.status_code == (200 if site == "mail" else 422)
    assert complaint in answer.text
    assert f'value="{html.escape(NAME)}"' in answer.text
    assert await sandbox.counts(site) == {}


@pytest.mark.parametrize("site", [site for site in FILLED if site != "scripted"])
async def test_nothing_is_taken_without_the_terms(sandbox: SandboxClient, site: str):
    form = next(each.form for each in SITES if each.look.slug == site)
    (terms,) = (field.name for field in form.fields if field.kind is Kind.TERMS)

    answer = await _send(sandbox, site, **{terms: ""})

    assert "You must agree to the terms" in answer.text
    assert await sandbox.counts(site) == {}


@pytest.mark.parametrize(("site", "trap"), TRAPS.items())
async def test_a_filled_trap_is_turned_away_and_told(sandbox: SandboxClient, site: str, trap: str):
    answer = await _send(sandbox, site, **{trap: "64"})

    assert answer.status_code == 403
    assert await sandbox.counts(site) == {}
    assert (await sandbox.events(site))["trapped"] == 1


@pytest.mark.parametrize("site", ACCEPTING)
async def test_a_second_identical_post_counts_twice(sandbox: SandboxClient, site: str):
    await _send(sandbox, site)
    await _send(sandbox, site)

    assert await _count(sandbox, site) == 2


async def test_the_wizard_counts_its_last_step_twice_when_it_is_sent_twice(sandbox: SandboxClient):
    second = await _through_the_wizard(sandbox)
    assert second.status_code == 303
    await _through_the_wizard(sandbox)

    assert await _count(sandbox, "wizard") == 2


async def test_search_finds_by_name_and_by_phone_however_it_is_written(sandbox: SandboxClient):
    await _send(sandbox, "plain")

    async def found(query: str) -> bool:
        page = (await sandbox.web.get("/plain/search", params={"q": query})).text
        return all(text in page for text in (html.escape(NAME), PHONE, bakery().website, "/plain/listing/"))

    for query in (NAME, "rosemary bakery", "(555) 867-0142", "15558670142", ""):
        assert await found(query), query
    for query in ("Rosemary & Thyme", "555 867 0143"):
        assert not await found(query), query


async def test_search_does_not_show_what_was_never_accepted(sandbox: SandboxClient):
    page = (await sandbox.web.get("/long/search", params={"q": NAME})).text

    assert "No listings match" in page


async def test_what_visitors_enter_is_shown_as_text(sandbox: SandboxClient):
    attack = "<script>alert(1)</script>"

    await _send(sandbox, "plain", business_name=attack, description=attack)

    for path in ("/plain/search", "/plain/", "/plain/search?q=%3Cscript%3Ealert(1)%3C/script%3E"):
        assert attack not in (await sandbox.web.get(path)).text


def test_the_catalogue_has_nine_entries_and_an_expectation_for_each():
    entries = catalogue("http://127.0.0.1:1234/")

    assert [entry.name for entry in entries] == [f"directories/{directory}" for directory in expected()]
    assert entries[0].submission_url == "http://127.0.0.1:1234/plain/add"
    assert entries[0].search_url == "http://127.0.0.1:1234/plain/search?q={query}"
    assert [entry.authority for entry in entries] == [90, 80, 70, 60, 50, 40, 30, 20, 10]
    assert expected()["sandbox-already"] == ("SUBMISSION_STATE_ALREADY_LISTED", 0)
    assert "address.city" in entries[1].required_fields


def test_variants_are_businesses_of_their_own_and_stay_the_same():
    made = [variant(number) for number in (0, 1, 9_999, 10_000)]

    for attribute in ("business_name", "phone", "email", "website"):
        assert len({getattr(profile, attribute) for profile in made}) == len(made)
    assert variant(1) == made[1]
    with pytest.raises(ValueError, match="no variant -1"):
        variant(-1)


def test_the_sample_business_leaves_no_field_empty():
    profile = bakery()

    missing = [field.name for field in profile.DESCRIPTOR.fields if not getattr(profile, field.name)]
    assert missing == []
