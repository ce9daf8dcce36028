"""A service's sign of life: a pulse in its own stream each time round, so that silence can be noticed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from directorybolt.event.v1 import pulse_events_pb2

from services.domain import events, identity
from services.runtime.ledger import Stream
from services.runtime.loop import Loop

if TYPE_CHECKING:
    from services.runtime.clock import Clock
    from services.runtime.ledger import Ledger


def service_pulse_loop(ledger: Ledger, *, service: str, interval_seconds: float, clock: Clock) -> Loop:
    """Return the loop that says, once per interval, that this process of the service is alive."""
    instance_id = f"{os.uname().nodename}-{os.getpid()}"
    stream = Stream(identity.service_stream(service, instance_id), events.SERVICE)

    async def _beat() -> bool:
        await ledger.pulse(stream, pulse_events_pb2.ServicePulse(service=service, instance_id=instance_id))
        return False

    return Loop(f"{service} pulse", _beat, interval_seconds=interval_seconds, clock=clock)
