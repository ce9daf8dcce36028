"""How a browser pool behaves: how many sessions it keeps, and how long it waits for anything."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.submitter.addresses import AddressRules

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """How the pool behaves."""

    #: Sessions kept ready beside those in use; each costs about 25 MB.
    sessions_warm: int = 2
    #: Sessions that one browser makes before it is replaced.
    uses_max: int = 100
    #: How long a taker waits for a session.
    acquire_seconds: float = 30.0
    #: Limit on making or closing a session; a browser that breaks it is killed.
    operation_seconds: float = 10.0
    #: Limit on starting driver and browser.
    launch_seconds: float = 45.0
    #: Pause after a failed start, so that a missing browser does not spin.
    retry_seconds: float = 1.0
    #: Empty keeps Chromium's own.
    user_agent: str = ""
    locale: str = "en-US"
    rules: AddressRules = field(default_factory=AddressRules)
    #: Seconds on a clock that never turns back; permits are measured on it.
    monotonic: Callable[[], float] = time.monotonic
