"""Looks whether an earlier, silent attempt left a listing; never fills anything in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from services.submitter import attempt_tracing as tracing
from services.submitter.attempt_result import AttemptResult, ResultKind
from services.submitter.outcome.presence import judge_presence, shown_proof, standing
from services.submitter.page_reader import read_view
from services.submitter.page_visits import visit

if TYPE_CHECKING:
    from playwright.async_api import Page

    from services.runtime.clock import Clock
    from services.submitter.attempt_result import AttemptJournal, AttemptPlan
    from services.submitter.browser_process import PageSession
    from services.submitter.outcome.presence import Presence

_CANDIDATES_MAX: Final = 3
_NOT_FOUND: Final = frozenset({ResultKind.ABSENT, ResultKind.UNTELLABLE})


class VerifyAttempt:
    """One look at a site's search; `run` once."""

    def __init__(
        self, plan: AttemptPlan, session: PageSession, journal: AttemptJournal, clock: Clock
    ) -> None:
        self._plan = plan
        self._page = session.page
        self._journal = journal
        self._clock = clock

    @property
    def page(self) -> Page:
        """The page that was looked at last."""
        return self._page

    async def run(self) -> AttemptResult:
        """Search for the business and judge what is shown. Errors: Fenced; VisitFailed; Playwright's."""
        if not self._plan.search_url:
            return AttemptResult(ResultKind.UNTELLABLE, code="no_search_page")
        await self._journal.step("open")
        query = quote_plus(self._plan.profile.business_name)
        status = await self._open(self._plan.search_url.replace("{query}", query))
        await self._journal.step("recognise")
        with tracing.span("recognise"):
            presence = judge_presence(await read_view(self._page), self._plan.profile)
            if presence.kind is ResultKind.UNTELLABLE and presence.candidates:
                return await self._look_closer(presence, status)
        return _result(presence, status)

    async def _look_closer(self, presence: Presence, status: int) -> AttemptResult:
        """Open the pages that bear the name: the phone number may stand only there."""
        for url in presence.candidates[:_CANDIDATES_MAX]:
            await self._open(url)
            view = await read_view(self._page)
            if proof := shown_proof(view, self._plan.profile):
                signals = ("name", proof, "listing_page")
                return AttemptResult(
                    standing(view.lines),
                    http_status=status,
                    signals=signals,
                    confidence=0.95,
                    listing_url=url,
                    matched_text=presence.matched_text,
                )
        return _result(presence, status)

    async def _open(self, url: str) -> int:
        with tracing.span("open"):
            timeouts = self._plan.timeouts
            response = await visit(self._page, url, timeouts.open_seconds, self._clock.now())
            return response.status


def _result(presence: Presence, status: int) -> AttemptResult:
    return AttemptResult(
        presence.kind,
        code=presence.signals[0] if presence.kind in _NOT_FOUND else "",
        http_status=status,
        signals=presence.signals,
        confidence=0.0 if presence.kind is ResultKind.UNTELLABLE else 0.9,
        listing_url=presence.listing_url,
        matched_text=presence.matched_text[:500],
    )
