"""What an erasure may say of itself: a ground, and the number of a case. Nothing that names the person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import profile_events_pb2 as facts

from services.domain.errors import FieldViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUNDS: Final = frozenset(facts.ErasureGround.values()) - {facts.ERASURE_GROUND_UNSPECIFIED}
_CASE_NUMBER: Final = re.compile(r"[A-Za-z0-9._/#-]{0,64}")


def violations(ground: facts.ErasureGround.ValueType, case_number: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with the reasons of an erasure."""
    if ground not in GROUNDS:
        names = ", ".join(facts.ErasureGround.Name(each) for each in sorted(GROUNDS))
        yield FieldViolation("ground", f"is required: give one of {names}")
    if not _CASE_NUMBER.fullmatch(case_number):
        yield FieldViolation(
            "case_number", "has at most 64 letters, digits and . _ - / #, and no name of anybody"
        )
