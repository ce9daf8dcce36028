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

#: The part of each ledger lane that is looked at: `depth` events before its head, or the log from its start.
_SCOPE: Final[LiteralString] = """
with scope as (
  select l.lane, h.head, greatest(h.head - %(depth)s::bigint, r.before) as since
  from es.lane l
  cross join lateral (
    select coalesce((select e.position from es.event e where e.lane = l.lane
                     order by e.position desc limit 1), 0) as head
  ) h
  cross join (select coalesce(min(from_position), 1) - 1 as before from es.partition where log = 'event') r
  where l.lane >= 0
)
"""


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

    Shape: `query` may use as parameters what a Reach holds; a `deep` check reads whole tables and is made
    only when asked for.
    """

    name: str
    question: str
    query: LiteralString
    judge: Callable[[Rows], Iterable[Finding]]
    deep: bool = False


def in_scope(query: LiteralString) -> LiteralString:
    """Return a query that begins after a `with`, where the table expression `scope` is known."""
    return _SCOPE + query
