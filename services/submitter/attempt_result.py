"""What an attempt is asked to do, what it tells while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from services.domain.kinds import ErrorClass


class ResultKind(StrEnum):
    """What came of an attempt."""

    #: The listing is live.
    LISTED = "listed"
    #: The site has it and will review it.
    PENDING_REVIEW = "pending_review"
    #: The site has it and waits for a click in an e-mail.
    PENDING_CONFIRMATION = "pending_confirmation"
    #: The business was listed before.
    ALREADY_LISTED = "already_listed"
    #: A person has to solve a challenge.
    CAPTCHA = "captcha"
    #: A person has to log in.
    LOGIN = "login"
    #: The site refused for good.
    REFUSED = "refused"
    #: A next step or a preview: not the end.
    CONTINUES = "continues"
    #: The site, or the page's script, named fields that are wrong; nothing was taken.
    FIELD_ERRORS = "field_errors"
    #: Nothing left the browser.
    NOT_SENT = "not_sent"
    #: It failed; `error_class` and `code` say how. Nothing was taken.
    FAILED = "failed"
    #: Something was sent and the answer cannot be told.
    UNCERTAIN = "uncertain"
    #: Verifying: the listing is there.
    PRESENT = "present"
    #: Verifying: the site answered clearly, and the listing is not there.
    ABSENT = "absent"
    #: Verifying: the answer cannot be told.
    UNTELLABLE = "untellable"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of the parts of an attempt, in seconds."""

    #: Loading a page.
    open_seconds: float = 25.0
    #: Waiting for a form that scripts draw.
    form_seconds: float = 5.0
    #: Waiting for the page to try a request after the click.
    tried_seconds: float = 4.0
    #: Waiting for the answer to the form's request.
    answer_seconds: float = 25.0
    #: Waiting for the page to come to rest after the answer.
    settle_seconds: float = 4.0
    #: The whole attempt.
    attempt_seconds: float = 110.0


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """What to do."""

    submission_url: str
    #: Search page with `{query}`; empty when the site has none.
    search_url: str
    profile: BusinessProfile
    purpose: Literal["submit", "verify"] = "submit"
    attempt: int = 1
    #: Steps of a wizard that are gone at most; bounds the requests that can leave.
    steps_max: int = 8
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class FillReport:
    """The filled form, as an event tells it."""

    #: Profile fields that found a place, sorted.
    fields: tuple[str, ...]
    #: Controls left empty for want of confidence.
    controls_skipped: int
    #: Least confidence among the filled controls, 0 to 1.
    confidence_min: float
    form_signature: str


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send the form, until an instant on the local monotonic clock."""

    #: Computed before the permit was asked for; see `RequestGate.open`.
    expires_monotonic: float


class Fenced(Exception):
    """The lease is lost: drop the work."""


class AttemptJournal(Protocol):
    """Whom an attempt tells what it does."""

    async def step(self, name: str) -> None:
        """Note a step: "open", "fill", "submit" or "recognise". Errors: Fenced when the lease is lost."""
        ...

    async def form_filled(self, report: FillReport) -> None:
        """Note that the form is filled in and nothing was sent. Errors: Fenced."""
        ...

    async def permit(self) -> Permit:
        """Ask for leave to send, directly before the click. Errors: Fenced; nothing may be sent then."""
        ...


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What came of an attempt, with its evidence."""

    kind: ResultKind
    #: Set whenever a further attempt, a change or a person is needed.
    error_class: ErrorClass = job_pb2.ERROR_CLASS_UNSPECIFIED
    #: Stable code of ours ("http_500", "navigation_timeout"), never the site's words.
    code: str = ""
    #: What the site asked us to wait; None when it did not.
    retry_after_seconds: float | None = None
    #: HTTP status of the answer; 0 when there was none.
    http_status: int = 0
    #: Names of the rules that spoke, strongest first.
    signals: tuple[str, ...] = ()
    #: 0 to 1.
    confidence: float = 0.0
    final_url: str = ""
    listing_url: str = ""
    #: The site's words that decided, at most 500 characters.
    matched_text: str = ""
    field_errors: tuple[str, ...] = ()
    #: JPEG of the page at the end; empty when none could be taken.
    picture: bytes = b""
    #: JPEG of the filled form.
    picture_before: bytes = b""
    #: Whether a submitting request left the gate.
    sent: bool = False
