"""Whether silence is silence, or only our own lag: the guard in front of every judgement by timeout.

A timeout may be judged only up to the moment that the read model surely covers: every event recorded
before it has been read. Heads are noted with the database's time; the newest note that the checkpoint has
reached is that moment. After an outage, ours or the database's, every timeout gets a grace of its own
length, or one restart would look like the silence of the whole fleet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from services.runtime.clock import Clock

#: Longest grace: a rule that waits a week must not start its week again at each restart.
GRACE_MAX: Final = timedelta(minutes=5)
#: A longer pause between two looks, or a longer lag, counts as an outage.
OUTAGE_SECONDS: Final = 10.0
_NOTES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one statement saw: the database's time, each lane's head, and how far the read model is."""

    now: datetime
    heads: Mapping[int, int]
    checkpoints: Mapping[int, int]

    def reached(self, heads: Mapping[int, int]) -> bool:
        """Return whether the read model is as far as these heads in every lane."""
        return all(self.checkpoints.get(lane, 0) >= head for lane, head in heads.items())


class Coverage:
    """Remembers heads, and since when there was no outage."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notes: deque[tuple[datetime, Mapping[int, int]]] = deque(maxlen=_NOTES_MAX)
        self._looked_at = clock.monotonic()
        self._reached: Mapping[int, int] = {}
        self._sound_since: float | None = None
        self._covered_until: datetime | None = None

    def look(self, snapshot: Snapshot) -> datetime | None:
        """Return the database time up to which all is covered; None when that is not known."""
        now = self._clock.monotonic()
        if now - self._looked_at > OUTAGE_SECONDS or not snapshot.reached(self._reached):
            # We slept, or the read model fell back: it is built again, or a crash took its last steps.
            self.lose()
        self._looked_at, self._reached = now, snapshot.checkpoints
        self._notes.append((snapshot.now, snapshot.heads))
        while self._notes and snapshot.reached(self._notes[0][1]):
            self._covered_until = self._notes.popleft()[0]
        self._weigh(snapshot.now, now)
        return self._covered_until

    def _weigh(self, database_now: datetime, now: float) -> None:
        lags = self._covered_until is None or database_now - self._covered_until > timedelta(
            seconds=OUTAGE_SECONDS
        )
        if lags:
            self._sound_since = None
        elif self._sound_since is None:
            self._sound_since = now

    def lose(self) -> None:
        """Begin anew, because something did not answer."""
        self._notes.clear()
        self._covered_until = None
        self._sound_since = None

    def grants(self, span: timedelta) -> bool:
        """Return whether a timeout of this length may be judged by now."""
        if self._sound_since is None:
            return False
        return self._clock.monotonic() - self._sound_since >= min(span, GRACE_MAX).total_seconds()
