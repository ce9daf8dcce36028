"""What a check is: a query, and a pure function that says what is wrong with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import LiteralString, TypeAlias

    Row: TypeAlias = Mapping[str, Any]
    Rows: TypeAlias = Sequence[Row]

#: Of one kind of damage so many places are shown; the first ones tell as much as a million.
PLACES_MAX: Final = 20

#: The part of a lane that is looked at. Constants, so that the planner passes over the partitions before it.
_SCOPE: Final[LiteralString] = """
with scope as not materialized (
  select %(lane)s::smallint as lane, %(head)s::bigint as head, %(since)s::bigint as since
)
"""


class Lanes(Enum):
    """Which lanes a check is made for, one after the other."""

    NONE = "none"
    LEDGER = "ledger"
    PULSES = "pulses"


class Severity(Enum):
    """How bad it is."""

    WRONG = "wrong"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what, where, and what to do next."""

    what: str
    where: str
    to_do: str
    severity: Severity = Severity.WRONG


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist.

    Shape: `query` may use as parameters what a Reach holds and, for `lanes`, `lane`, `head` and `since`; a
    `deep` check reads whole tables and is made only when asked for.
    """

    name: str
    question: str
    query: LiteralString
    judge: Callable[[Rows], Iterable[Finding]]
    lanes: Lanes = Lanes.NONE
    deep: bool = False


def in_scope(query: LiteralString) -> LiteralString:
    """Return a query, without its `with`, that knows the table expression `scope`: one row, one lane."""
    return _SCOPE + query
