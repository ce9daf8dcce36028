"""Turns an attribute and a control into what to do with it: text to write or options to take. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.choices import choose, hours_time
from services.submitter.mapping.text_values import text_value

if TYPE_CHECKING:
    from directorybolt.profile.v1.profile_pb2 import BusinessProfile

    from services.submitter.mapping.page_model import Control


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do with a control."""

    action: Literal["text", "select", "tick"]
    values: tuple[str, ...] = ()
    ticks: tuple[int, ...] = ()
    confidence: float = 1.0


def answer(attribute: Attribute, control: Control, profile: BusinessProfile) -> Answer | None:
    """Work out what to do; None when the profile has nothing, or no option fits."""
    if control.type == "checkbox" or (attribute is Attribute.TERMS and not control.options):
        return Answer("tick", ticks=(control.index,))
    if control.options:
        return _option_answer(attribute, control, profile)
    time = hours_time(control, profile) if attribute is Attribute.OPENING_HOURS else None
    text = text_value(attribute, control, profile) if time is None else time
    return Answer("text", (text,)) if text else None


def _option_answer(attribute: Attribute, control: Control, profile: BusinessProfile) -> Answer | None:
    if attribute is Attribute.TERMS:
        return Answer("tick", ticks=tuple(option.control for option in control.options))
    choice = choose(attribute, control, profile)
    if choice is None:
        return None
    if control.type.startswith("select"):
        return Answer("select", tuple(each.value for each in choice.options), (), choice.confidence)
    return Answer("tick", (), tuple(each.control for each in choice.options), choice.confidence)
