"""What an audit of the log found: each thing that does not fit, with its place and the check that saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from eventstore.types import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

FINDINGS_MAX: Final = 100


class Check(Enum):
    """Which check saw it."""

    GAP = "gap"
    HASH = "hash"
    ORDER = "order"
    STRAY = "stray"
    SEAL_ROOT = "seal_root"
    SEAL_CHAIN = "seal_chain"
    SEAL_SIGNATURE = "seal_signature"
    SEAL_KEY = "seal_key"
    SEAL_LOG = "seal_log"
    SEAL_LOST = "seal_lost"
    SEAL_DIFFERS = "seal_differs"


MEANINGS: Final[Mapping[Check, str]] = {
    Check.GAP: "an event is missing here",
    Check.HASH: "the event is not the one that was appended here",
    Check.ORDER: "the event is dated before its predecessor",
    Check.STRAY: "there is an event in a lane that the log does not have",
    Check.SEAL_ROOT: "the events of this range are not the ones that were sealed",
    Check.SEAL_CHAIN: "the log seal does not continue the one before it",
    Check.SEAL_SIGNATURE: "the log seal's signature is not good",
    Check.SEAL_KEY: "the log seal was signed by a key that is not yours",
    Check.SEAL_LOG: "the log seal belongs to another log",
    Check.SEAL_LOST: "a log seal is missing",
    Check.SEAL_DIFFERS: "the log seal in the database is not the one in the archive",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit.

    Shape: an event is named by its position alone; what is known of a range only has `to_position` beyond
    `from_position`; `seal_number` names the log seal, if one is concerned.
    """

    check: Check
    lane: int
    from_position: int
    to_position: int
    seal_number: int | None = None

    @property
    def words(self) -> str:
        """One sentence for people."""
        place = f"position {self.from_position}"
        if self.to_position != self.from_position:
            place = f"positions {self.from_position} to {self.to_position}"
        seal = f", log seal {self.seal_number}" if self.seal_number is not None else ""
        return f"lane {self.lane}, {place}{seal}: {MEANINGS[self.check]}"


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """What was looked at, and what does not fit; the first finding of a lane is its first bad position.

    Shape: `heads` and `sealed` say per lane how far the log and its seals reach; `keys` are the public keys
    that signed; `archived_events_count` lie in the archive, where only their seals were checked.
    """

    events_count: int = 0
    seals_count: int = 0
    archived_events_count: int = 0
    heads: Mapping[int, int] = field(default_factory=dict[int, int])
    sealed: Mapping[int, int] = field(default_factory=dict[int, int])
    keys: frozenset[bytes] = frozenset()
    end_recorded_at: datetime | None = None
    findings: Sequence[Finding] = ()

    @property
    def intact(self) -> bool:
        """Whether everything fits."""
        return not self.findings

    @property
    def first_bad(self) -> Position | None:
        """The first position that does not fit, in the lowest lane that has one."""
        return Position(self.findings[0].lane, self.findings[0].from_position) if self.findings else None


def in_order(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Return findings by lane and position, the narrowest first, at most FINDINGS_MAX."""
    return sorted(set(findings), key=_place)[:FINDINGS_MAX]


def _place(finding: Finding) -> tuple[int, int, int, int, str]:
    place = (finding.lane, finding.from_position, finding.to_position)
    return *place, finding.seal_number or 0, finding.check.value
