"""The spans of an attempt; names and numbers only, never an address's query or a word of a profile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.trace import Span

PURPOSE: Final = "directorybolt.attempt.purpose"
RESULT: Final = "directorybolt.attempt.outcome"
CODE: Final = "directorybolt.attempt.code"
CONTROLS_FILLED: Final = "directorybolt.form.controls_filled"
CONTROLS_SKIPPED: Final = "directorybolt.form.controls_skipped"
FORM_SIGNATURE: Final = "directorybolt.form.signature"
WIZARD_STEP: Final = "directorybolt.form.step"
REQUESTS_SENT: Final = "directorybolt.form.requests_sent"
BROWSER: Final = "directorybolt.browser"

_tracer = trace.get_tracer("directorybolt.submitter")


@contextmanager
def span(name: str) -> Generator[Span]:
    """Open a span; error texts stay out of it, for they can carry what a customer typed."""
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as opened:
        yield opened
