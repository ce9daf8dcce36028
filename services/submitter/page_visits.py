"""Opens a page and turns everything that can go wrong on the way into a class and a stable code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from services.submitter.attempt_result import AttemptResult, ResultKind
from services.submitter.egress_proxy import VERDICT_HEADER
from services.submitter.outcome.retry_after import parse_retry_after

if TYPE_CHECKING:
    from datetime import datetime

    from playwright.async_api import Page, Response

    from services.domain.kinds import ErrorClass
    from services.submitter.browser_process import PageSession

_NETWORK_ERROR: Final = re.compile(r"net::ERR_([A-Z_]+)")
_CLOSED: Final = ("has been closed", "Target closed", "crashed", "Connection closed")
_OK_BELOW: Final = 400
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
#: 408 and 425 ask for another try by definition; 403 is how sites turn visitors away for a while.
_TRANSIENT_STATUSES: Final = frozenset({408, 425})
_FORBIDDEN: Final = 403
_EGRESS_CLASSES: Final = {"address_refused": job_pb2.ERROR_CLASS_REFUSED}


class VisitFailed(Exception):
    """The page could not be opened; `result` says why."""

    def __init__(self, result: AttemptResult) -> None:
        super().__init__(result.code)
        self.result = result


async def visit(page: Page, url: str, seconds_max: float, now: datetime) -> Response:
    """Open an address and wait until its document is there. Errors: VisitFailed."""
    try:
        response = await page.goto(url, wait_until="domcontentloaded", timeout=seconds_max * 1000)
    except PlaywrightTimeout as error:
        raise VisitFailed(failed(job_pb2.ERROR_CLASS_TRANSIENT, "navigation_timeout")) from error
    except PlaywrightError as error:
        raise VisitFailed(_network_failure(error)) from error
    if response is None:
        raise VisitFailed(failed(job_pb2.ERROR_CLASS_TRANSIENT, "navigation_empty"))
    if result := _status_failure(response, now):
        raise VisitFailed(result)
    return response


def failed(
    error_class: ErrorClass, code: str, http_status: int = 0, retry_after: float | None = None
) -> AttemptResult:
    """Build the result of a failure."""
    return AttemptResult(
        ResultKind.FAILED, error_class, code, retry_after, http_status, signals=(code,), confidence=1.0
    )


def is_browser_death(error: PlaywrightError, session: PageSession) -> bool:
    """Whether an error means that the browser is gone, and not that the page misbehaves."""
    return session.process.lost.is_set() or any(words in error.message for words in _CLOSED)


def _network_failure(error: PlaywrightError) -> AttemptResult:
    if any(words in error.message for words in _CLOSED):
        return failed(job_pb2.ERROR_CLASS_BROWSER_CRASH, "browser_crashed")
    found = _NETWORK_ERROR.search(error.message)
    return failed(job_pb2.ERROR_CLASS_TRANSIENT, f"net_{found[1].lower()}" if found else "navigation_failed")


def _status_failure(response: Response, now: datetime) -> AttemptResult | None:
    status = response.status
    if code := response.headers.get(VERDICT_HEADER):
        return failed(_EGRESS_CLASSES.get(code, job_pb2.ERROR_CLASS_TRANSIENT), code)
    if status < _OK_BELOW:
        return None
    retry_after = parse_retry_after(response.headers.get("retry-after", ""), now)
    if status == _UNAUTHORIZED:
        return AttemptResult(
            ResultKind.LOGIN, job_pb2.ERROR_CLASS_CHALLENGE, "http_401", None, status, ("http_401",), 1.0
        )
    return failed(_class_of(status), f"http_{status}", status, retry_after)


def _class_of(status: int) -> ErrorClass:
    if status == _TOO_MANY:
        return job_pb2.ERROR_CLASS_THROTTLED
    if status >= _SERVER_ERROR or status in _TRANSIENT_STATUSES:
        return job_pb2.ERROR_CLASS_TRANSIENT
    if status == _FORBIDDEN:
        return job_pb2.ERROR_CLASS_TEMPORARY_REJECTION
    return job_pb2.ERROR_CLASS_SITE_CHANGED
