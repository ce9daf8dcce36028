"""Reads what a person sees of a page, and takes pictures of it; patient with pages that are on the move."""

from __future__ import annotations

import asyncio
import contextlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast

from playwright.async_api import Error as PlaywrightError

from services.submitter.outcome.facts import parse_view, with_frame

if TYPE_CHECKING:
    from playwright.async_api import Frame, Page

    from services.submitter.outcome.facts import PageView

_SCRIPT: Final = files("services.submitter.outcome").joinpath("read_page.js").read_text(encoding="utf-8")
_TRIES: Final = 4
_FRAMES_MAX: Final = 8
#: A page whose next page is on its way answers no script until that one is there.
_READ_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.1
_PICTURE_MS: Final = 4_000
_SCROLL_SECONDS: Final = 2.0
_PICTURE_QUALITY: Final = 60
_LOST_CONTEXT: Final = ("context was destroyed", "navigat", "Cannot find context")


async def read_view(page: Page, form_signature: str = "") -> PageView:
    """Read the page with its frames; a navigation in mid-read starts it anew.

    Errors: TimeoutError while a next page is awaited; Playwright's.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return await _read_frames(page, form_signature)
        except PlaywrightError as error:
            if not tries_left or not any(words in error.message for words in _LOST_CONTEXT):
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


async def _read_frames(page: Page, form_signature: str) -> PageView:
    view = await _read_frame(page.main_frame, form_signature)
    for frame in page.frames[1:_FRAMES_MAX]:
        # An embedded form answers in its own frame; one that cannot be read is an advertisement's.
        with contextlib.suppress(PlaywrightError, TimeoutError):
            view = with_frame(view, await _read_frame(frame, ""))
    return view


async def _read_frame(frame: Frame, form_signature: str) -> PageView:
    async with asyncio.timeout(_READ_SECONDS):
        return parse_view(cast("dict[str, Any]", await frame.evaluate(_SCRIPT)), form_signature)


async def take_picture(page: Page) -> bytes:
    """Take a JPEG of the whole page; empty when the page does not let us."""
    try:
        # Headers that stick to the window would cover the middle of the picture.
        async with asyncio.timeout(_SCROLL_SECONDS):
            await page.evaluate("scrollTo(0, 0)")
        return await page.screenshot(
            type="jpeg",
            quality=_PICTURE_QUALITY,
            full_page=True,
            timeout=_PICTURE_MS,
            animations="disabled",
            caret="hide",
        )
    except (PlaywrightError, TimeoutError):
        return b""
