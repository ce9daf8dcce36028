"""Tells what a list of options is a list of: countries, states, prices, times, or nothing known. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from services.submitter.mapping.attributes import Attribute
from services.submitter.mapping.places import is_country, is_us_state
from services.submitter.mapping.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.submitter.mapping.page_model import Option

_MAJORITY: Final = 0.6
_TIME: Final = re.compile(
    r"\d{1,2}([:.h]\d{2})?\s*([ap]\.?m\.?)?|closed|geschlossen|ferme|cerrado", re.IGNORECASE
)
_PRICE: Final = re.compile(r"[$€£]{1,4}")
_PAYMENTS: Final = frozenset(
    [
        "visa",
        "mastercard",
        "amex",
        "american",
        "cash",
        "paypal",
        "card",
        "credit",
        "debit",
        "check",
        "cheque",
        "invoice",
        "transfer",
        "bar",
        "kreditkarte",
        "rechnung",
        "especes",
        "carte",
        "efectivo",
        "tarjeta",
    ]
)


def kind_of_options(options: Sequence[Option]) -> tuple[Attribute, float] | None:
    """Give the attribute that most options belong to, and the weight of that finding."""
    labels = [option.label.strip() for option in options if option.value and option.label.strip()]
    if not labels:
        return None
    for attribute, weight, belongs in _KINDS:
        if sum(1 for label in labels if belongs(label)) / len(labels) >= _MAJORITY:
            return attribute, weight
    return None


def _is_payment(label: str) -> bool:
    return bool(_PAYMENTS.intersection(words_of(label)))


_KINDS: Final[tuple[tuple[Attribute, float, Callable[[str], bool]], ...]] = (
    (Attribute.REGION, 9.0, is_us_state),
    (Attribute.COUNTRY, 9.0, is_country),
    (Attribute.PRICE_RANGE, 9.0, lambda label: bool(_PRICE.fullmatch(label))),
    (Attribute.OPENING_HOURS, 9.0, lambda label: bool(_TIME.fullmatch(label))),
    (Attribute.PAYMENT_METHODS, 8.0, _is_payment),
)
