"""Runs an attempt in a browser of the pool and always comes back with a result, in time.

Whatever goes wrong is judged by one question: can the site have taken the form? Before a submitting
request left, a failure is a failure and may be tried again; afterwards it is UNCERTAIN unless the site's
own answer proves that nothing was taken.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
from directorybolt.job.v1 import job_pb2
from playwright.async_api import Error as PlaywrightError

from services.submitter import attempt_tracing as tracing
from services.submitter.attempt_result import (
    AttemptJournal,
    AttemptPlan,
    AttemptResult,
    Fenced,
    FillReport,
    Permit,
    ResultKind,
    Timeouts,
)
from services.submitter.attempt_submit import SubmitAttempt
from services.submitter.attempt_verify import VerifyAttempt
from services.submitter.browser_pool import BrowserUnavailable
from services.submitter.page_reader import take_picture
from services.submitter.page_visits import VisitFailed, failed, is_browser_death

if TYPE_CHECKING:
    from services.runtime.clock import Clock
    from services.submitter.browser_pool import BrowserPool
    from services.submitter.browser_process import PageSession

__all__ = [
    "AttemptJournal",
    "AttemptPlan",
    "AttemptResult",
    "Engine",
    "Fenced",
    "FillReport",
    "Permit",
    "ResultKind",
    "Timeouts",
]

_PICTURE_SECONDS: Final = 8.0

_log = structlog.stdlib.get_logger(__name__)


class Engine:
    """Runs attempts; as many at a time as the caller starts."""

    def __init__(self, pool: BrowserPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def attempt(self, plan: AttemptPlan, journal: AttemptJournal) -> AttemptResult:
        """Submit or verify once. Errors: Fenced, when the journal raised it; nothing else."""
        async with AsyncExitStack() as stack:
            with tracing.span("browser.acquire") as span:
                try:
                    session = await stack.enter_async_context(self._pool.lease())
                except BrowserUnavailable:
                    return failed(job_pb2.ERROR_CLASS_BROWSER_CRASH, "browser_unavailable")
                span.set_attribute(tracing.BROWSER, session.process.label)
            with tracing.span("attempt") as span:
                span.set_attribute(tracing.PURPOSE, plan.purpose)
                result = await self._run(plan, session, journal)
                span.set_attribute(tracing.RESULT, result.kind.value)
                if result.code:
                    span.set_attribute(tracing.CODE, result.code)
            return result

    async def _run(self, plan: AttemptPlan, session: PageSession, journal: AttemptJournal) -> AttemptResult:
        kind = SubmitAttempt if plan.purpose == "submit" else VerifyAttempt
        attempt = kind(plan, session, journal, self._clock)
        result = await self._guarded(attempt, session, plan.timeouts.attempt_seconds)
        session.gate.close()
        return await _with_evidence(result, attempt, session)

    async def _guarded(
        self, attempt: SubmitAttempt | VerifyAttempt, session: PageSession, seconds_max: float
    ) -> AttemptResult:
        try:
            async with asyncio.timeout(seconds_max):
                return await attempt.run()
        except VisitFailed as failure:
            return _judged(failure.result, session)
        except TimeoutError:
            return _judged(failed(job_pb2.ERROR_CLASS_TRANSIENT, "attempt_timeout"), session)
        except PlaywrightError as error:
            dead = is_browser_death(error, session)
            _log.warning("attempt_broken", error=error.message.splitlines()[0], browser_lost=dead)
            if dead:
                return _judged(failed(job_pb2.ERROR_CLASS_BROWSER_CRASH, "browser_crashed"), session)
            return _judged(failed(job_pb2.ERROR_CLASS_TRANSIENT, "page_broken"), session)


def _judged(result: AttemptResult, session: PageSession) -> AttemptResult:
    """A failure after something was sent is uncertain: the site may have taken it."""
    if not session.gate.sent:
        return result
    return replace(
        result,
        kind=ResultKind.UNCERTAIN,
        error_class=job_pb2.ERROR_CLASS_UNSPECIFIED,
        http_status=session.gate.sent[-1].status,
        confidence=0.0,
    )


async def _with_evidence(
    result: AttemptResult, attempt: SubmitAttempt | VerifyAttempt, session: PageSession
) -> AttemptResult:
    """Add the pictures and the final address; a dead or frozen browser gives none."""
    picture = b""
    if not session.process.lost.is_set():
        try:
            async with asyncio.timeout(_PICTURE_SECONDS):
                picture = await take_picture(attempt.page)
        except TimeoutError:
            picture = b""
    return replace(
        result,
        picture=picture,
        picture_before=attempt.picture_before if isinstance(attempt, SubmitAttempt) else b"",
        final_url=attempt.page.url,
        sent=bool(session.gate.sent),
    )
