"""Carries a form plan out in the browser, the way a person would, and reads back what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from playwright.async_api import Error as PlaywrightError

from services.submitter.form_reader import MARK, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Frame, Locator

    from services.submitter.form_reader import PlannedForm
    from services.submitter.mapping.page_model import Control
    from services.submitter.mapping.plan import Fill

_CONTROL_MS: Final = 3_000

_log = structlog.stdlib.get_logger(__name__)


async def fill_form(planned: PlannedForm) -> tuple[Fill, ...]:
    """Fill every planned control; returns those that did not take their value."""
    refused = [fill for fill in planned.plan.fills if not await _fill(planned.frame, fill)]
    held = {control.index: control for control in (await read_document(planned.frame)).controls}
    changed = [fill for fill in planned.plan.fills if not _stands(fill, held.get(fill.control.index))]
    return tuple(dict.fromkeys([*refused, *changed]))


def filled_values(planned: PlannedForm) -> Iterator[str]:
    """Yield the texts that were filled in; the gate knows the form by them."""
    for fill in planned.plan.fills:
        if fill.action == "text":
            yield from fill.values


def marked(frame: Frame, index: int) -> Locator:
    """Find a control or button by the mark of the reading script."""
    return frame.locator(f'[{MARK}="{index}"]')


async def _fill(frame: Frame, fill: Fill) -> bool:
    try:
        if fill.action == "text":
            await marked(frame, fill.control.index).fill(fill.values[0], timeout=_CONTROL_MS)
        elif fill.action == "select":
            control = marked(frame, fill.control.index)
            await control.select_option(list(fill.values), timeout=_CONTROL_MS)
        else:
            for index in fill.ticks or (fill.control.index,):
                await _tick(marked(frame, index), on=fill.action == "tick")
    except PlaywrightError as error:
        _log.info("control_refused", attribute=fill.attribute.value, error=error.message.splitlines()[0])
        return False
    return True


async def _tick(box: Locator, *, on: bool) -> None:
    if await box.is_checked(timeout=_CONTROL_MS) == on:
        return
    if await box.is_visible():
        await box.set_checked(on, timeout=_CONTROL_MS)
    else:  # the box is drawn by its label
        await box.evaluate("box => (box.labels[0] || box).click()")


def _stands(fill: Fill, now: Control | None) -> bool:
    """Whether a control holds what was filled in; pages may write it in their own format."""
    if now is None:
        return False
    if fill.action == "text":
        return bool(now.value.strip())
    if fill.action == "select":
        return {option.value for option in now.options if option.selected} >= set(fill.values)
    if now.options:
        return all(option.selected for option in now.options if option.control in fill.ticks)
    return now.checked == (fill.action == "tick")
