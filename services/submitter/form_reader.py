"""Reads the forms of a page from the browser, frame by frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast

from playwright.async_api import Error as PlaywrightError

from services.submitter.mapping.page_model import FormDocument, parse_document
from services.submitter.mapping.plan import FormPlan, plan_page

if TYPE_CHECKING:
    from directorybolt.profile.v1.profile_pb2 import BusinessProfile
    from playwright.async_api import Frame, Page

#: Attribute that the script puts on controls and buttons; its value is their index.
MARK: Final = "data-directorybolt"
_SCRIPT: Final = files("services.submitter.mapping").joinpath("read_form.js").read_text(encoding="utf-8")
_FRAMES_MAX: Final = 12
_READ_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class PlannedForm:
    """A form of the page with its plan and the frame that it is in."""

    frame: Frame
    document: FormDocument
    plan: FormPlan


async def read_document(frame: Frame) -> FormDocument:
    """Read one frame. Errors: TimeoutError while a next page is awaited; Playwright's, when it is gone."""
    async with asyncio.timeout(_READ_SECONDS):
        raw = cast("dict[str, Any]", await frame.evaluate(_SCRIPT, MARK))
    return parse_document(raw)


async def plan_best(page: Page, profile: BusinessProfile) -> PlannedForm | None:
    """Plan the form that takes most of a business, in whatever frame; None when there is none."""
    best: PlannedForm | None = None
    for frame in page.frames[:_FRAMES_MAX]:
        try:
            document = await read_document(frame)
        except PlaywrightError:  # the frame went away while it was read
            continue
        except TimeoutError:
            if frame is page.main_frame:
                raise
            continue
        plan = plan_page(document, profile)
        if plan and (best is None or plan.signs > best.plan.signs):
            best = PlannedForm(frame, document, plan)
    return best
