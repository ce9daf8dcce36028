"""How far a rebuild is, how fast it goes, and when it will be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """A moment of a rebuild; positions are by lane, `begun_at` is where this run began.

    Units: `seconds` since this run began.
    """

    positions: Mapping[int, int]
    target: Mapping[int, int]
    begun_at: Mapping[int, int]
    seconds: float

    @property
    def done(self) -> int:
        """Positions that are behind it, in all lanes."""
        return sum(self.positions.values())

    @property
    def total(self) -> int:
        """Positions there are to pass, in all lanes."""
        return max(self.done, sum(self.target.values()))

    @property
    def per_second(self) -> float:
        """Positions passed per second in this run."""
        passed = self.done - sum(self.begun_at.values())
        return passed / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """When it will be there, at this rate; None while there is no rate yet."""
        missing = self.total - self.done
        if missing == 0:
            return 0.0
        return missing / self.per_second if self.per_second > 0 else None


#: Told after every page.
Report: TypeAlias = "Callable[[RebuildProgress], None]"


def tell_nobody(progress: RebuildProgress) -> None:
    """Take progress for which nobody waits."""
    del progress
