"""Waits until read models have seen what an answer has to cover."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from services.domain.errors import ReadModelBehind
from services.runtime.interceptors.deadline import deadline_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventstore.types import Position
    from services.runtime.clock import Clock
    from services.runtime.tokens import TokenSealer

CATALOGUE: Final = "catalogue"
JOBS: Final = "jobs"
SUBMISSIONS: Final = "submissions"
HISTORY: Final = "history"

#: Kept back from the call's deadline, so that the refusal itself arrives in time.
_MARGIN_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 30.0


class Covering(Protocol):
    """A read model that says when it has come to a position."""

    async def wait_until(self, position: Position) -> None:
        """Return when every event up to the position is in the rows."""
        ...


class Freshness:
    """Knows the read models of this process."""

    def __init__(self, read_models: Mapping[str, Covering], sealer: TokenSealer, clock: Clock) -> None:
        self._read_models = read_models
        self._sealer = sealer
        self._clock = clock

    async def wait(self, min_position: str, *names: str) -> None:
        """Return when these read models cover a position token; at once for an empty one.

        Errors: InvalidArgument when it is no token of ours; ReadModelBehind when the call's deadline comes
        first.
        """
        for position in self._sealer.read_position(min_position, field="min_position"):
            if not await self.covers(position, *names, seconds=self._left_seconds()):
                raise ReadModelBehind(retry_after_seconds=1.0)

    async def covers(self, position: Position, *names: str, seconds: float) -> bool:
        """Return whether these read models cover a position within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                for name in names:
                    await self._read_models[name].wait_until(position)
        except TimeoutError:
            return False
        return True

    def _left_seconds(self) -> float:
        ends_at = deadline_at()
        if ends_at is None:
            return _LONGEST_SECONDS
        return max(0.0, min(_LONGEST_SECONDS, ends_at - self._clock.monotonic() - _MARGIN_SECONDS))
