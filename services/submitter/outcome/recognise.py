"""Tells what a site answered, from facts alone; in doubt it says so. Pure.

A success needs the site's own words, new on the page, and a second sign that is independent of them (the
form is gone or emptied, the address changed, a reference was given). Words that stood there before the
click prove nothing: two in five ordinary pages carry "thank you" or "submitted" somewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

from services.submitter.attempt_result import ResultKind
from services.submitter.outcome.phrases import said
from services.submitter.outcome.retry_after import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from services.domain.kinds import ErrorClass
    from services.submitter.outcome.facts import Facts, Sent
    from services.submitter.outcome.phrases import Said

_TEXT_CHARACTERS_MAX: Final = 500
_REFERENCE: Final = re.compile(
    r"\b(?:reference|ref|number|nummer|numero|ticket|confirmation|id)\b\W{0,4}(?:is |no\.? )?[A-Z]*-?\d{2,}",
    re.IGNORECASE,
)
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500

#: Successes, the more cautious first: "live once you confirm" is not live.
_SUCCESSES: Final = (
    ("pending_confirmation", ResultKind.PENDING_CONFIRMATION),
    ("pending_review", ResultKind.PENDING_REVIEW),
    ("listed", ResultKind.LISTED),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was recognised."""

    kind: ResultKind
    #: Names of the rules that spoke, strongest first.
    signals: tuple[str, ...] = ()
    #: 0 to 1.
    confidence: float = 0.0
    matched_text: str = ""
    field_errors: tuple[str, ...] = ()
    error_class: ErrorClass = job_pb2.ERROR_CLASS_UNSPECIFIED
    code: str = ""
    retry_after_seconds: float | None = None


def recognise(facts: Facts, now: datetime) -> Outcome:
    """Judge the facts; `now` turns a `Retry-After` date into seconds."""
    if not facts.sent:
        return _unsent(facts)
    last = facts.sent[-1]
    if last.status == _TOO_MANY:
        return _throttled(last, now)
    if last.status == 0 or last.status >= _SERVER_ERROR:
        return _unanswered(last)
    for rule in _RULES:
        if outcome := rule(facts):
            return outcome
    return Outcome(ResultKind.UNCERTAIN, ("no_rule_spoke",), 0.0, code="answer_unclear")


def _unsent(facts: Facts) -> Outcome:
    """Nothing left: the page, or the browser, stopped it."""
    if errors := _field_messages(facts):
        return _field_errors(errors, "not_sent")
    if _moved_on(facts):
        return Outcome(ResultKind.CONTINUES, ("next_form", "not_sent"), 0.8)
    if "permit_expired" in facts.held:
        return Outcome(
            ResultKind.FAILED,
            ("held",),
            1.0,
            error_class=job_pb2.ERROR_CLASS_TRANSIENT,
            code="permit_expired",
        )
    return Outcome(
        ResultKind.NOT_SENT, ("not_sent",), 0.9, error_class=job_pb2.ERROR_CLASS_SITE_CHANGED, code="not_sent"
    )


def _throttled(last: Sent, now: datetime) -> Outcome:
    return Outcome(
        ResultKind.FAILED,
        ("http_429",),
        1.0,
        error_class=job_pb2.ERROR_CLASS_THROTTLED,
        code="http_429",
        retry_after_seconds=parse_retry_after(last.retry_after, now),
    )


def _unanswered(last: Sent) -> Outcome:
    """A site in trouble may have taken the form all the same."""
    code = f"http_{last.status}" if last.status else "connection_lost"
    return Outcome(ResultKind.UNCERTAIN, (code,), 0.0, code=code)


def _field_messages(facts: Facts) -> tuple[str, ...]:
    """Messages that name what is wrong with the form, and were not there before."""
    fresh = [text for text in facts.after.invalid if text not in facts.before.invalid]
    if not facts.sent:
        fresh += [text for text in facts.after.native if text not in fresh]
    about_fields = (text for text in (*facts.new_alerts, *facts.dialogs) if said("field_error", [text]))
    return tuple(dict.fromkeys([*fresh, *about_fields]))


def _field_errors(errors: tuple[str, ...], *signals: str) -> Outcome:
    return Outcome(
        ResultKind.FIELD_ERRORS,
        ("field_messages", *signals),
        0.9,
        errors[0][:_TEXT_CHARACTERS_MAX],
        errors,
        job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET,
        "field_errors",
    )


def _moved_on(facts: Facts) -> bool:
    before, after = facts.before.form_signature, facts.after.form_signature
    return bool(after) and after != before


def _form_again(facts: Facts) -> bool:
    return bool(facts.after.form_signature) and facts.after.form_signature == facts.before.form_signature


def _is_error(facts: Facts) -> bool:
    return facts.sent[-1].status >= _BAD_REQUEST


def _captcha(facts: Facts) -> Outcome | None:
    found = said("captcha", (*facts.new_alerts, *facts.new_lines))
    if not (facts.after.challenge or found) or (not _form_again(facts) and not facts.after.challenge):
        return None
    text = found.line[:_TEXT_CHARACTERS_MAX] if found else facts.after.challenge
    return Outcome(ResultKind.CAPTCHA, ("challenge", "form_again"), 0.9, text, code="captcha_after_sending")


def _wrong_fields(facts: Facts) -> Outcome | None:
    errors = _field_messages(facts)
    if errors and facts.after.form_signature and not _success(facts):
        return _field_errors(errors, "form_again")
    if _is_error(facts) and _form_again(facts):
        return _field_errors((facts.new_lines or ("the form came back",))[:50], "form_again", "http_4xx")
    return None


def _already(facts: Facts) -> Outcome | None:
    found = said("already_listed", facts.new_lines)
    return _with_second(facts, ResultKind.ALREADY_LISTED, found) if found else None


def _login(facts: Facts) -> Outcome | None:
    found = said("login", facts.new_lines)
    if not (found and facts.after.password):
        return None
    return Outcome(ResultKind.LOGIN, ("login_words", "password"), 0.85, found.line, code="login_required")


def _refused(facts: Facts) -> Outcome | None:
    found = said("refused", facts.new_lines)
    if not found or _success(facts):
        return None
    second = "http_4xx" if _is_error(facts) else "form_gone" if not facts.after.form_signature else ""
    if not second:
        return None
    return Outcome(
        ResultKind.REFUSED,
        ("refused_words", second),
        0.85,
        found.line[:_TEXT_CHARACTERS_MAX],
        error_class=job_pb2.ERROR_CLASS_REFUSED,
        code="refused",
    )


def _continues(facts: Facts) -> Outcome | None:
    """A next form, unless the site says plainly that the end is reached."""
    words = said("continues", facts.new_lines)
    if _is_error(facts) or not _moved_on(facts) or (_success(facts) and not words):
        return None
    return Outcome(ResultKind.CONTINUES, ("next_form", *(["continues_words"] if words else [])), 0.85)


def _succeeded(facts: Facts) -> Outcome | None:
    found = _success(facts)
    if not found or _is_error(facts):
        return None
    topic_said, kind = found
    if kind is ResultKind.LISTED and said("continues", facts.new_lines):
        return None
    return _with_second(facts, kind, topic_said)


def _success(facts: Facts) -> tuple[Said, ResultKind] | None:
    for topic, kind in _SUCCESSES:
        if found := said(topic, facts.new_lines):
            return found, kind
    return None


def _with_second(facts: Facts, kind: ResultKind, found: Said) -> Outcome | None:
    """A statement of the site counts with an independent second sign only."""
    signs = _signs(facts)
    if not signs:
        return None
    return Outcome(
        kind,
        (f"words: {found.phrase}", *signs),
        min(0.75 + 0.08 * len(signs), 0.99),
        found.line[:_TEXT_CHARACTERS_MAX],
        code="already_listed" if kind is ResultKind.ALREADY_LISTED else "",
    )


def _signs(facts: Facts) -> tuple[str, ...]:
    """Signs beside the words that a form was taken or settled."""
    gone = not facts.after.form_signature
    emptied = not gone and facts.before.texts_filled > 1 and facts.after.texts_filled == 0
    reference = any(_REFERENCE.search(line) for line in facts.new_lines)
    signs = {
        "form_gone": gone,
        "form_emptied": emptied,
        "address_changed": facts.after.url != facts.before.url,
        "reference": reference,
    }
    return tuple(name for name, holds in signs.items() if holds)


_RULES: Final[tuple[Callable[[Facts], Outcome | None], ...]] = (
    _captcha,
    _already,
    _wrong_fields,
    _login,
    _refused,
    _continues,
    _succeeded,
)
