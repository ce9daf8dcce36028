"""What a site answered is told from facts, and doubt is told as doubt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from directorybolt.job.v1 import job_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.submitter.attempt_result import ResultKind
from services.submitter.outcome.facts import Facts, Link, PageView, Sent
from services.submitter.outcome.phrases import phrase_table
from services.submitter.outcome.recognise import recognise
from services.submitter.outcome.retry_after import parse_retry_after

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_BEFORE = PageView(
    url="http://site/add", lines=("Add your business", "Thank you for visiting"), form_signature="a"
)
_PHRASES = [phrase for phrases in phrase_table().values() for phrase in phrases]
_SUCCESSES = {
    ResultKind.LISTED,
    ResultKind.PENDING_REVIEW,
    ResultKind.PENDING_CONFIRMATION,
    ResultKind.ALREADY_LISTED,
}


def _after(*lines: str, form: str = "", **parts: object) -> PageView:
    return PageView(url="http://site/done", lines=lines, form_signature=form, **parts)  # pyright: ignore[reportArgumentType]


def _kind(after: PageView, *sent: Sent) -> ResultKind:
    return recognise(Facts(_BEFORE, after, sent or (Sent(),)), _NOW).kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Your listing is live!", ResultKind.LISTED),
        ("Link submitted and approved. Your site is now listed:", ResultKind.LISTED),
        ("Ihr Eintrag wurde veröffentlicht.", ResultKind.LISTED),
        ("Votre fiche est en ligne.", ResultKind.LISTED),
        ("Su empresa ha sido publicada.", ResultKind.LISTED),
        ("Thank you. Your entry is pending review.", ResultKind.PENDING_REVIEW),
        ("Your place was received and is waiting for review by our editors.", ResultKind.PENDING_REVIEW),
        ("Your listing will be live once approved.", ResultKind.PENDING_REVIEW),
        ("Ihr Eintrag wird geprüft.", ResultKind.PENDING_REVIEW),
        ("Votre demande est en attente de validation.", ResultKind.PENDING_REVIEW),
        ("Su anuncio está pendiente de revisión.", ResultKind.PENDING_REVIEW),
        ("Check your inbox to validate your listing", ResultKind.PENDING_CONFIRMATION),
        (
            "Almost live: please confirm your e-mail first. Your listing is live then.",
            ResultKind.PENDING_CONFIRMATION,
        ),
        ("Bitte bestätigen Sie Ihre E-Mail-Adresse.", ResultKind.PENDING_CONFIRMATION),
        ("Cliquez sur le lien que nous avons envoyé.", ResultKind.PENDING_CONFIRMATION),
        ("Hemos enviado un correo de confirmación.", ResultKind.PENDING_CONFIRMATION),
        ("A listing for this business exists already", ResultKind.ALREADY_LISTED),
        ("Dieses Unternehmen ist bereits eingetragen.", ResultKind.ALREADY_LISTED),
        ("Cette entreprise existe déjà.", ResultKind.ALREADY_LISTED),
        ("El negocio ya existe.", ResultKind.ALREADY_LISTED),
        ("Your submission was not accepted: it looks automated to us.", ResultKind.REFUSED),
        ("Thank you.", ResultKind.UNCERTAIN),
        ("Your message was received.", ResultKind.UNCERTAIN),
        ("", ResultKind.UNCERTAIN),
    ],
)
def test_the_words_of_a_site_are_understood(text: str, kind: ResultKind):
    assert _kind(_after(text)) is kind


@given(st.sampled_from(_PHRASES), st.booleans())
def test_words_that_were_there_before_never_make_a_success(phrase: str, changed: bool):  # noqa: FBT001
    before = PageView(url="http://site/add", lines=(phrase,), form_signature="a")
    url = "http://site/done" if changed else before.url
    after = PageView(url=url, lines=(phrase,), form_signature="")
    assert recognise(Facts(before, after, (Sent(),)), _NOW).kind not in _SUCCESSES


@given(
    st.lists(st.sampled_from(_PHRASES), max_size=4),
    st.sampled_from([0, 500, 502, 503]),
)
def test_a_site_in_trouble_is_always_uncertain(phrases: list[str], status: int):
    assert _kind(_after(*phrases), Sent(status=status)) is ResultKind.UNCERTAIN


@given(st.lists(st.sampled_from(_PHRASES), max_size=4))
def test_nothing_sent_is_never_a_success(phrases: list[str]):
    assert recognise(Facts(_BEFORE, _after(*phrases)), _NOW).kind not in _SUCCESSES


def test_words_alone_are_not_enough():
    same_page = PageView(url=_BEFORE.url, lines=("Your listing is live!",), form_signature="a")
    assert _kind(same_page) is ResultKind.UNCERTAIN


def test_a_success_names_two_signals():
    outcome = recognise(Facts(_BEFORE, _after("Your listing is live!"), (Sent(),)), _NOW)
    assert len(outcome.signals) >= 2
    assert outcome.matched_text == "Your listing is live!"


def test_a_next_step_is_not_the_end():
    after = _after("Step 1 saved. Your listing is not published yet.", form="b")
    assert _kind(after) is ResultKind.CONTINUES


def test_a_preview_that_boasts_is_not_the_end():
    after = _after("Preview your entry. It has been added to your drafts.", form="b")
    assert _kind(after) is ResultKind.CONTINUES


def test_field_messages_with_the_form_again_prove_that_nothing_was_taken():
    after = _after("Please correct", form="a", invalid=("Phone: too short",))
    outcome = recognise(Facts(_BEFORE, after, (Sent(),)), _NOW)
    assert (outcome.kind, outcome.field_errors[0]) == (ResultKind.FIELD_ERRORS, "Phone: too short")


def test_a_refusal_by_status_with_the_form_again_is_field_errors():
    assert _kind(_after("Hm", form="a"), Sent(status=422)) is ResultKind.FIELD_ERRORS


def test_a_wrong_captcha_needs_a_person():
    after = _after("The reCAPTCHA code is wrong.", form="a", alerts=("The reCAPTCHA code is wrong.",))
    assert _kind(after) is ResultKind.CAPTCHA


def test_a_login_wall_after_the_click_needs_a_person():
    assert _kind(_after("Email already registered. Please login first", password=True)) in {
        ResultKind.LOGIN,
        ResultKind.ALREADY_LISTED,
    }
    assert _kind(_after("Please log in to go on", password=True)) is ResultKind.LOGIN


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Mon, 23 Nov 2026 12:01:30 GMT", 90.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("99999999", 86_400.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float | None):
    assert parse_retry_after(header, _NOW) == seconds


def test_too_many_requests_says_when_to_come_back():
    outcome = recognise(Facts(_BEFORE, _after(), (Sent(status=429, retry_after="7"),)), _NOW)
    assert (outcome.error_class, outcome.retry_after_seconds) == (job_pb2.ERROR_CLASS_THROTTLED, 7.0)


def test_a_dialog_counts_as_words():
    facts = Facts(_BEFORE, _after(), (Sent(),), dialogs=("Your listing has been added",))
    assert recognise(facts, _NOW).kind is ResultKind.LISTED


def test_links_do_not_decide():
    assert _kind(_after("ok", links=(Link("http://site/listing/1", "Listing"),))) is ResultKind.UNCERTAIN
