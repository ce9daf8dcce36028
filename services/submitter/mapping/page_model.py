"""A page's forms as frozen values: what the reading script saw, radios and checkboxes put together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Index of the form of controls that stand in none.
NO_FORM = -1


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select, radio group or checkbox group."""

    value: str
    label: str
    selected: bool = False
    disabled: bool = False
    #: Index of the radio or checkbox itself; -1 for an option of a select.
    control: int = -1


@dataclass(frozen=True, slots=True)
class Control:
    """One control, or one group of radios or checkboxes that share a name."""

    index: int
    form: int = NO_FORM
    tag: str = "input"
    #: HTML type in lower case; "richtext", "radio-group" and "checkbox-group" are ours.
    type: str = "text"
    name: str = ""
    id: str = ""
    label: str = ""
    aria: str = ""
    placeholder: str = ""
    autocomplete: str = ""
    title: str = ""
    #: Text of the neighbouring table cell, row head and column head.
    cell: str = ""
    #: Text directly before the control.
    before: str = ""
    #: Text of the largest element that holds this control alone.
    around: str = ""
    #: Text that `aria-describedby` points at.
    described: str = ""
    #: Legend of the fieldset, else the nearest heading above.
    section: str = ""
    #: Name of the group that a radio or checkbox belongs to.
    group: str = ""
    options: tuple[Option, ...] = ()
    multiple: bool = False
    required: bool = False
    #: Most characters; 0 for no limit.
    maxlength: int = 0
    pattern: str = ""
    value: str = ""
    checked: bool = False
    #: A person can see it, or the label of a tick that replaces it.
    visible: bool = True
    #: Only its label can be seen and clicked.
    by_label: bool = False
    enabled: bool = True
    tabindex: int = 0
    invalid: bool = False
    #: The browser's own words about an invalid value.
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press."""

    index: int
    form: int = NO_FORM
    type: str = "submit"
    text: str = ""
    visible: bool = True
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """A form element."""

    index: int
    action: str = ""
    method: str = "get"
    role: str = ""
    novalidate: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class FormDocument:
    """All controls, buttons and forms of one frame."""

    url: str = ""
    title: str = ""
    language: str = ""
    forms: tuple[Form, ...] = ()
    controls: tuple[Control, ...] = ()
    buttons: tuple[Button, ...] = ()


def parse_document(raw: Mapping[str, Any]) -> FormDocument:
    """Build a document from what the reading script returned."""
    controls = [_control(each) for each in raw["controls"]]
    return FormDocument(
        url=str(raw["url"]),
        title=str(raw["title"]),
        language=str(raw["language"]),
        forms=tuple(Form(**each) for each in raw["forms"]),
        controls=tuple(_grouped(controls)),
        buttons=tuple(Button(**each) for each in raw["buttons"]),
    )


def _control(raw: Mapping[str, Any]) -> Control:
    known = {each.name for each in fields(Control)} - {"options"}
    options = cast("list[dict[str, Any]]", raw["options"])
    return Control(
        **{name: raw[name] for name in known if name in raw},
        options=tuple(Option(**option) for option in options),
    )


def _grouped(controls: Iterable[Control]) -> list[Control]:
    """Put radios, and checkboxes that share a name, together as one control with options."""
    rows: dict[tuple[int, str, str], list[Control]] = {}
    for control in controls:
        shares = control.type in {"radio", "checkbox"} and control.name
        key = (control.form, control.type, control.name) if shares else (control.form, "", str(control.index))
        rows.setdefault(key, []).append(control)
    return [_group(members) for members in rows.values()]


def _group(members: list[Control]) -> Control:
    first = members[0]
    if first.type not in {"radio", "checkbox"} or (first.type == "checkbox" and len(members) == 1):
        return first
    options = tuple(
        Option(each.value, each.label, selected=each.checked, disabled=not each.enabled, control=each.index)
        for each in members
        if each.visible
    )
    return replace(
        first,
        type=f"{first.type}-group",
        label=first.group or first.cell or first.section,
        options=options,
        visible=any(each.visible for each in members),
        enabled=any(each.enabled for each in members),
        required=any(each.required for each in members),
        value="",
    )
