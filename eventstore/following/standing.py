"""How a projection stands: how far it is, how fast, who runs it, and what keeps it, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

#: So little behind, a projection keeps up: what is left is on its way.
KEEPING_UP_SECONDS: Final = 10.0


class State(Enum):
    """What a projection is doing.

    RUNNING: every partition is held. WAITING: a partition is free, or its holder was lost, and one of those
    who run the projection will take it. PAUSED: a partition stopped at an event. UNHELD: nobody runs it.
    """

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    UNHELD = "unheld"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds partitions, and how long the first of its leases lasts if it is not renewed."""

    name: str
    partitions_count: int
    expires_in_seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A partition that stopped, where, and why; `attempts` is 0 when the log could not be read."""

    partition: int
    lane: int
    position: int
    attempts: int
    error: str
    paused_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A projection beside the heads of the lanes that it follows.

    Shape: `checkpoint` is that of the partition furthest behind. Units: seconds, and events a second; None is
    unknown. `eta_seconds` is None, too, when it does not catch up.
    """

    name: str
    version: int
    state: State
    head: Mapping[int, int]
    checkpoint: Mapping[int, int]
    lag_seconds: float
    rate: float | None
    partitions_count: int
    unheld_count: int
    holders: Sequence[Holder]
    standby_count: int
    pauses: Sequence[Pause]
    parked_count: int
    skipped_count: int
    passed_over_count: int
    rebuilt: Mapping[int, int] | None

    @property
    def lag(self) -> int:
        """Events that it has not seen yet."""
        return sum(max(0, self.head[lane] - number) for lane, number in self.checkpoint.items())

    @property
    def eta_seconds(self) -> float | None:
        """When it will be at the head, if it goes on as it does and the log grows as it did."""
        if not self.lag:
            return 0.0
        if not self.rate or self.state is not State.RUNNING:
            return None
        growth = 0.0 if self.lag_seconds < KEEPING_UP_SECONDS else self.lag / self.lag_seconds
        return self.lag / (self.rate - growth) if self.rate > growth else None

    @property
    def sentence(self) -> str:
        """Say why it is behind, or that it is not."""
        said = [f"{self.name} {self._how_far()}", *self._why()]
        if self.parked_count:
            said.append(f"{self.parked_count:,} of its events are parked")
        if self.passed_over_count:
            said.append(f"{self.passed_over_count:,} events of a newer release were passed over")
        if self.rebuilt is not None:
            said.append(f"a rebuild beside it is at position {sum(self.rebuilt.values()):,}")
        return "; ".join(said)

    def _how_far(self) -> str:
        place = f"position {sum(self.checkpoint.values()):,}"
        if not self.lag:
            return f"is up to date at {place}"
        return f"is {self.lag:,} events and {duration(self.lag_seconds)} behind, at {place}"

    def _why(self) -> Sequence[str]:
        if self.state is State.PAUSED:
            return [self._pause(), "resume it when that is mended"]
        if self.state is State.UNHELD:
            return ["nobody runs it"]
        if self.state is State.WAITING:
            whose = f"{self.unheld_count} of {self.partitions_count} partitions are free"
            return [f"{whose}, and {self.standby_count + len(self.holders)} processes are there to take them"]
        return [self._speed(), f"held by {self._holders()}"] if self.lag else [f"held by {self._holders()}"]

    def _pause(self) -> str:
        first = min(self.pauses, key=lambda each: (each.paused_at, each.partition))
        where = f"position {first.position:,} of lane {first.lane}"
        tried = f" after {first.attempts} attempts" if first.attempts else ""
        many = (
            "" if self.partitions_count == 1 else f"{len(self.pauses)} of {self.partitions_count} partitions "
        )
        return f"{many}paused at {where}{tried}: {first.error}"

    def _speed(self) -> str:
        if not self.rate:
            return "it did not move in the last minute"
        speed = f"it applies {self.rate:,.0f} events a second"
        if self.eta_seconds is None:
            return f"{speed}, and the log grows faster"
        return f"{speed} and will be there in {duration(self.eta_seconds)}"

    def _holders(self) -> str:
        if len(self.holders) == 1:
            only = self.holders[0]
            return f"{only.name}, whose lease lasts {duration(only.expires_in_seconds)}"
        return f"{len(self.holders)} processes with {self.partitions_count} partitions"


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    if seconds < 1:
        return "less than a second"
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
