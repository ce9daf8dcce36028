"""A journal that remembers what it was told, and gives permits as it was set up to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.submitter.attempt_result import Fenced, Permit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.submitter.attempt_result import FillReport


@dataclass
class RecordingJournal:
    """Records steps in order; "permit" and "form_filled" stand among them."""

    permit_seconds: float = 30.0
    #: Step at which the lease turns out to be lost; empty for never.
    fenced_at: str = ""
    #: Awaited when a step of this name is told.
    on_step: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    reports: list[FillReport] = field(default_factory=list)

    async def step(self, name: str) -> None:
        """Note a step."""
        await self._tell(name)

    async def form_filled(self, report: FillReport) -> None:
        """Note the filled form."""
        self.reports.append(report)
        await self._tell("form_filled")

    async def permit(self) -> Permit:
        """Give a permit."""
        until = time.monotonic() + self.permit_seconds
        await self._tell("permit")
        return Permit(until)

    async def _tell(self, name: str) -> None:
        self.told.append(name)
        if action := self.on_step.get(name):
            await action()
        if name == self.fenced_at:
            raise Fenced
