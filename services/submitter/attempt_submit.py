"""Fills a form in and submits it at most once, following a wizard from step to step.

One permit is asked for, directly before the first click that could send something. Every step of a wizard
is clicked once within that permit, and each click lets one request through. A second click on the same
form happens only when the gate has seen that the first one sent nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from services.submitter import attempt_tracing as tracing
from services.submitter.attempt_result import AttemptResult, FillReport, ResultKind
from services.submitter.form_filler import fill_form, filled_values, marked
from services.submitter.form_reader import plan_best, read_document
from services.submitter.mapping.attributes import Attribute
from services.submitter.outcome.facts import Facts, Sent
from services.submitter.outcome.phrases import said
from services.submitter.outcome.recognise import Outcome, recognise
from services.submitter.page_reader import read_view, take_picture
from services.submitter.page_visits import VisitFailed, failed, visit

if TYPE_CHECKING:
    from playwright.async_api import Dialog, Page

    from services.runtime.clock import Clock
    from services.submitter.attempt_result import AttemptJournal, AttemptPlan
    from services.submitter.browser_process import PageSession
    from services.submitter.form_reader import PlannedForm
    from services.submitter.mapping.plan import FormPlan
    from services.submitter.outcome.facts import PageView

_BANNERS: Final = files("services.submitter").joinpath("page_banners.js").read_text(encoding="utf-8")
_CLICK_MS: Final = 5_000
_POLL_SECONDS: Final = 0.15
_UNTRIED_LOOK_SECONDS: Final = 0.5
_CORRECTIONS_MAX: Final = 1
_TEXT_CHARACTERS_MAX: Final = 500


class SubmitAttempt:
    """One attempt to submit; `run` once."""

    def __init__(
        self, plan: AttemptPlan, session: PageSession, journal: AttemptJournal, clock: Clock
    ) -> None:
        self._plan = plan
        self._session = session
        self._journal = journal
        self._clock = clock
        self._gate = session.gate
        self._page: Page = session.page
        self._dialogs: list[str] = []
        self._http_status = 0
        self._sent_judged = 0
        self.picture_before = b""
        session.page.on("dialog", self._on_dialog)

    @property
    def page(self) -> Page:
        """The page that shows the answer: a form may open a window of its own."""
        return self._page

    async def run(self) -> AttemptResult:
        """Open, fill, submit, recognise. Errors: Fenced; Playwright's."""
        planned, before = await self._open()
        if early := _before_any_click(planned, before):
            return early
        if planned is None:
            return failed(job_pb2.ERROR_CLASS_SITE_CHANGED, "form_not_found", self._http_status)
        await self._fill_first(planned)
        if blocked := _blocked(planned.plan) or await _complaints(planned):
            return blocked
        await self._journal.step("submit")
        permit = await self._journal.permit()
        self._gate.open(permit.expires_monotonic, requests_max=1)
        return await self._go_through(planned)

    async def _open(self) -> tuple[PlannedForm | None, PageView]:
        await self._journal.step("open")
        with tracing.span("open"):
            timeouts = self._plan.timeouts
            response = await visit(
                self._page, self._plan.submission_url, timeouts.open_seconds, self._clock.now()
            )
            self._http_status = response.status
            await self._rest(timeouts.settle_seconds)
            await self._page.evaluate(_BANNERS)
            planned = await self._await_form(timeouts.form_seconds)
            return planned, await read_view(self._page, _signature(planned))

    async def _await_form(self, seconds_max: float) -> PlannedForm | None:
        """Plan the page's form; forms that scripts draw come late."""
        deadline = self._clock.monotonic() + seconds_max
        while True:
            planned = await plan_best(self._page, self._plan.profile)
            if planned or self._clock.monotonic() >= deadline:
                return planned
            await self._clock.sleep(_POLL_SECONDS)

    async def _fill_first(self, planned: PlannedForm) -> None:
        await self._journal.step("fill")
        with tracing.span("fill") as span:
            await self._fill(planned)
            self.picture_before = await take_picture(self._page)
            report = _report(planned.plan)
            span.set_attribute(tracing.CONTROLS_FILLED, len(planned.plan.fills))
            span.set_attribute(tracing.CONTROLS_SKIPPED, report.controls_skipped)
            span.set_attribute(tracing.FORM_SIGNATURE, report.form_signature)
        await self._journal.form_filled(report)

    async def _fill(self, planned: PlannedForm) -> None:
        await fill_form(planned)
        self._gate.arm(filled_values(planned))

    async def _go_through(self, planned: PlannedForm) -> AttemptResult:
        """Click from step to step until the site has answered."""
        corrections = 0
        outcome = Outcome(ResultKind.UNCERTAIN, code="steps_exhausted")
        for step in range(self._plan.steps_max):
            facts = await self._click(planned, step)
            outcome = await self._recognise(facts)
            following = await self._next_form(outcome, facts, corrections)
            if following is None:
                return self._conclude(outcome, facts)
            planned = following
            await self._fill(planned)
            if outcome.kind is ResultKind.CONTINUES:
                self._gate.allow_one_more()
            else:
                corrections += 1
        return self._conclude(replace(outcome, kind=ResultKind.UNCERTAIN, code="steps_exhausted"), None)

    async def _next_form(self, outcome: Outcome, facts: Facts, corrections: int) -> PlannedForm | None:
        """Plan the form to press next, if one may be pressed.

        That is a wizard's next step; or the same form again, corrected, when nothing was even tried.
        """
        untried = not facts.sent and not facts.held and corrections < _CORRECTIONS_MAX
        corrects = outcome.kind is ResultKind.FIELD_ERRORS and untried
        if outcome.kind is not ResultKind.CONTINUES and not corrects:
            return None
        following = await plan_best(self._page, self._plan.profile)
        return following if following and following.plan.button else None

    async def _click(self, planned: PlannedForm, step: int) -> Facts:
        """Press the button once, and wait for the page to answer."""
        with tracing.span("submit") as span:
            span.set_attribute(tracing.WIZARD_STEP, step + 1)
            before = await read_view(self._page, planned.plan.signature)
            sent_before, held_before = len(self._gate.sent), len(self._gate.held)
            self._dialogs.clear()
            await self._press(planned)
            after = await self._await_answer(before, sent_before)
            span.set_attribute(tracing.REQUESTS_SENT, len(self._gate.sent))
            sent = tuple(
                Sent(each.method, each.status, each.retry_after, each.failure)
                for each in self._gate.sent[sent_before:]
            )
            held = tuple(each.reason for each in self._gate.held[held_before:])
            self._sent_judged = len(self._gate.sent)
            return Facts(before, after, sent, held, tuple(self._dialogs))

    async def _press(self, planned: PlannedForm) -> None:
        button = planned.plan.button
        if button is None:
            raise VisitFailed(failed(job_pb2.ERROR_CLASS_SITE_CHANGED, "button_not_found"))
        target = marked(planned.frame, button.index)
        try:
            await target.click(timeout=_CLICK_MS, no_wait_after=True)
        except PlaywrightTimeout as error:
            # Something lies over it, or it is not there any more. It may not be pressed by other means:
            # a click that timed out has not happened, but one that was sent twice would have.
            if not self._gate.sent:
                raise VisitFailed(failed(job_pb2.ERROR_CLASS_SITE_CHANGED, "button_covered")) from error

    async def _await_answer(self, before: PageView, sent_before: int) -> PageView:
        timeouts = self._plan.timeouts
        tried = await self._gate.wait_until_tried(_UNTRIED_LOOK_SECONDS)
        if not tried:
            view = await self._view()
            if _has_messages(view, before) or view.form_signature != before.form_signature:
                return view
            tried = await self._gate.wait_until_tried(timeouts.tried_seconds)
        if tried and len(self._gate.sent) > sent_before:
            await self._await_response(timeouts.answer_seconds)
            if not self._http_status:
                return before  # a page that still waits for its answer shows nothing, and cannot be read
        return await self._settle(before)

    async def _await_response(self, seconds_max: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._gate.sent[-1].answered.wait()
        self._http_status = self._gate.sent[-1].status

    async def _settle(self, before: PageView) -> PageView:
        """Wait until the page shows something new and has stopped changing."""
        timeouts = self._plan.timeouts
        await self._rest(timeouts.answer_seconds)
        deadline = self._clock.monotonic() + timeouts.settle_seconds
        last = before
        while True:
            try:
                view = await self._view()
            except TimeoutError:  # a further page is on its way: the redirect after the form's request
                deadline = max(deadline, self._clock.monotonic() + 2 * _POLL_SECONDS)
                continue
            if view == last and (view.lines != before.lines or view.url != before.url):
                return view
            if self._clock.monotonic() >= deadline:
                return view
            last = view
            await self._clock.sleep(_POLL_SECONDS)

    async def _rest(self, seconds_max: float) -> None:
        try:
            await self._page.wait_for_load_state("load", timeout=seconds_max * 1000)
        except PlaywrightTimeout:
            return  # a picture that never comes must not fail the attempt

    async def _view(self) -> PageView:
        self._page = self._session.context.pages[-1]  # a form may answer in a window of its own
        planned = await plan_best(self._page, self._plan.profile)
        return await read_view(self._page, _signature(planned))

    async def _recognise(self, facts: Facts) -> Outcome:
        await self._journal.step("recognise")
        with tracing.span("recognise") as span:
            outcome = recognise(facts, self._clock.now())
            span.set_attribute(tracing.RESULT, outcome.kind.value)
            return outcome

    def _conclude(self, outcome: Outcome, facts: Facts | None) -> AttemptResult:
        self._gate.close()
        kind, code = outcome.kind, outcome.code
        unsent_step = facts is not None and not facts.sent
        if kind is ResultKind.CONTINUES:  # nobody can say how this goes on
            kind, code = ResultKind.UNCERTAIN, "continues_without_form"
        elif len(self._gate.sent) > self._sent_judged:  # it left after its answer was no longer awaited
            kind, code = ResultKind.UNCERTAIN, "sent_late"
        elif self._gate.sent and unsent_step and kind in {ResultKind.FAILED, ResultKind.NOT_SENT}:
            kind = ResultKind.UNCERTAIN  # an earlier step of the wizard was taken
        return AttemptResult(
            kind=kind,
            error_class=outcome.error_class,
            code=code,
            retry_after_seconds=outcome.retry_after_seconds,
            http_status=self._http_status,
            signals=outcome.signals,
            confidence=outcome.confidence,
            matched_text=outcome.matched_text[:_TEXT_CHARACTERS_MAX],
            field_errors=outcome.field_errors[:50],
            listing_url=_listing_url(facts, self._plan) if facts else "",
        )

    async def _on_dialog(self, dialog: Dialog) -> None:
        """Note what a dialog says; "really send?" is answered yes only while a permit holds."""
        self._dialogs.append(dialog.message[:_TEXT_CHARACTERS_MAX])
        try:
            await (dialog.accept() if self._gate.is_open else dialog.dismiss())
        except PlaywrightError:
            return  # the page went away with its dialog


def _signature(planned: PlannedForm | None) -> str:
    return planned.plan.signature if planned else ""


def _report(plan: FormPlan) -> FillReport:
    skipped = sum(1 for skip in plan.skips if skip.reason in {"unsure", "no_value", "taken"})
    return FillReport(plan.fields, skipped, plan.confidence_min, plan.signature)


def _has_messages(view: PageView, before: PageView) -> bool:
    return bool(
        set(view.invalid) - set(before.invalid)
        or set(view.native) - set(before.native)
        or set(view.alerts) - set(before.alerts)
    )


def _before_any_click(planned: PlannedForm | None, view: PageView) -> AttemptResult | None:
    """What the page says before anything is filled in can settle the matter."""
    if view.challenge or (planned and _asks_riddle(planned.plan)):
        return _needs_person(ResultKind.CAPTCHA, "captcha", view.challenge)
    needs_login = planned.plan.needs_login if planned else view.password
    if needs_login or (planned is None and said("login", view.lines)):
        return _needs_person(ResultKind.LOGIN, "login_required", "")
    if planned is None and (found := said("already_listed", view.lines)):
        return AttemptResult(
            ResultKind.ALREADY_LISTED,
            signals=(f"words: {found.phrase}", "no_form"),
            confidence=0.8,
            matched_text=found.line[:_TEXT_CHARACTERS_MAX],
        )
    return None


def _asks_riddle(plan: FormPlan) -> bool:
    return any(
        skip.attribute is Attribute.CAPTCHA and skip.reason == "decoy" and skip.control.visible
        for skip in plan.skips
    )


def _needs_person(kind: ResultKind, code: str, text: str) -> AttemptResult:
    return AttemptResult(
        kind, job_pb2.ERROR_CLASS_CHALLENGE, code, signals=(code,), confidence=0.95, matched_text=text
    )


def _blocked(plan: FormPlan) -> AttemptResult | None:
    """A form that cannot be complete is not sent."""
    if plan.needs_login:
        return _needs_person(ResultKind.LOGIN, "login_required", "")
    if not plan.missing:
        return None
    lacking = next((skip for skip in plan.missing if skip.reason == "no_value" and skip.attribute), None)
    labels = tuple(skip.control.label or skip.control.name for skip in plan.missing)
    if lacking and lacking.attribute and not lacking.control.options:
        name = lacking.attribute.value.replace(".", "_")
        result = failed(job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET, f"profile_lacks_{name}")
    else:
        result = failed(job_pb2.ERROR_CLASS_SITE_CHANGED, "form_unclear")
    return replace(result, field_errors=labels[:50])


async def _complaints(planned: PlannedForm) -> AttemptResult | None:
    """What the browser's own validation would stop: known before the click, so no permit is spent on it."""
    document = await read_document(planned.frame)
    form = next((each for each in document.forms if each.index == planned.plan.form), None)
    if form is None or form.novalidate:
        return None
    errors = tuple(
        f"{control.label or control.name}: {control.complaint}"
        for control in document.controls
        if control.form == form.index and control.complaint
    )
    if not errors:
        return None
    result = failed(job_pb2.ERROR_CLASS_REQUIREMENT_NOT_MET, "field_errors")
    return replace(result, kind=ResultKind.FIELD_ERRORS, matched_text=errors[0], field_errors=errors[:50])


def _listing_url(facts: Facts, plan: AttemptPlan) -> str:
    """Find the listing's own address: the page itself when it shows the business, else a new link to it."""
    name = plan.profile.business_name.casefold()
    known = {link.url for link in facts.before.links}
    for link in facts.after.links:
        said_name = name and name in link.text.casefold()
        if link.url not in known and (said_name or "listing" in link.text.casefold()):
            return link.url
    return facts.after.url if name and name in facts.after.title.casefold() else ""
