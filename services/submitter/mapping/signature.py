"""Names a form by its structure: the same form has the same name, whatever is written in it. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from services.submitter.mapping.page_model import Control, FormDocument

_CHARACTERS: Final = 16


def form_signature(document: FormDocument, form: int) -> str:
    """Hash a form's controls, their order, names, types and options; 16 hexadecimal characters."""
    action = next((urlsplit(each.action).path for each in document.forms if each.index == form), "")
    rows = [_row(control) for control in document.controls if control.form == form]
    text = json.dumps([action, rows], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_CHARACTERS]


def _row(control: Control) -> list[object]:
    options = [option.label for option in control.options]
    return [
        control.tag,
        control.type,
        control.name,
        control.label,
        control.required,
        control.maxlength,
        options,
    ]
