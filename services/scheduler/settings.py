"""What the scheduler can be told: how long things may take, and how much it sends out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.runtime.config import Environment, TimingConfig, TraceMode

_PREFIX = "DIRECTORYBOLT_"
#: A dispatch is lost after so many leases: messages wait while workers finish what they have.
_LEASES_PER_DISPATCH = 2
#: A worker counts as alive for so many pulses after its last one.
_PULSES_PER_WORKER = 6
_WORKER_SILENCE_LEAST = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Times and limits of the loops."""

    #: How long a dispatch may wait for its claim.
    dispatch_patience: timedelta
    #: How long a worker may be silent while its slots still count.
    worker_silence: timedelta
    #: How long a submission waits until it counts as one class higher.
    ageing: timedelta
    #: Submissions sent out while no worker is known, so that the first one finds something.
    window_without_workers: int
    #: Factor on every retry delay; 1 outside of demonstrations and tests.
    retry_scale: float
    trace_mode: TraceMode

    @classmethod
    def read(cls, env: Environment, timing: TimingConfig, trace_mode: TraceMode) -> SchedulerSettings:
        """Read them from the environment.

        Errors: ConfigError naming the variable.
        """
        pulses = timedelta(seconds=timing.pulse_seconds * _PULSES_PER_WORKER)
        ageing_seconds = env.number(_PREFIX + "AGEING_SECONDS", 600, least=0.1, most=86_400)
        return cls(
            dispatch_patience=timedelta(seconds=timing.lease_seconds * _LEASES_PER_DISPATCH),
            worker_silence=max(pulses, _WORKER_SILENCE_LEAST),
            ageing=timedelta(seconds=ageing_seconds),
            window_without_workers=env.whole(_PREFIX + "DISPATCH_WINDOW", 4, least=1, most=1_000),
            retry_scale=timing.retry_scale,
            trace_mode=trace_mode,
        )
