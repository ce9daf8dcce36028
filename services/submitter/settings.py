"""What a worker has to know about itself and its times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Who the worker is, how much it runs at one time, and how long things hold."""

    worker_id: str
    #: Attempts that run at one time.
    slots: int
    #: How long a claim holds after its last pulse.
    lease: timedelta
    #: Time between two pulses; a fraction of the lease, so that one may get lost.
    pulse: timedelta
    #: How long the request gate stays open after a permit.
    permit: timedelta
    #: Factor on every retry delay; 1 outside of demonstrations and tests.
    retry_scale: float
