"""At most so many calls per client address in any sixty seconds; a strict moving window.

It runs before authentication, so that a flood of bad keys is cut off before it costs anything. Callers that
prove to be one of our services are exempt: the proof is the service key from the key file, compared in
constant time without a look into the database, so that a bad key cannot buy the exemption.

A window of its own and not a library's: it turns with our Clock, forgets addresses, and is exact (a fixed
window lets twice the limit through at its border).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from services.domain.errors import RateLimited
from services.runtime.access import is_open
from services.runtime.api_key import bearer_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.runtime.clock import Clock
    from services.runtime.interceptors.layer import Call

WINDOW_SECONDS = 60.0
SUBJECTS_MAX = 20_000


class MovingWindow:
    """Counts hits per subject in the last `WINDOW_SECONDS`."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._hits: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def subjects(self) -> int:
        """How many subjects are remembered."""
        return len(self._hits)

    def hit(self, subject: str) -> float:
        """Count a hit and return 0, or return in how many seconds there is room again."""
        now = self._clock.monotonic()
        hits = self._hits.setdefault(subject, deque())
        self._hits.move_to_end(subject)
        while hits and hits[0] <= now - WINDOW_SECONDS:
            hits.popleft()
        if len(hits) >= self.limit:
            return hits[0] + WINDOW_SECONDS - now
        hits.append(now)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        while len(self._hits) > 1:
            _, oldest = next(iter(self._hits.items()))
            if oldest and oldest[-1] > now - WINDOW_SECONDS and len(self._hits) <= SUBJECTS_MAX:
                return
            self._hits.popitem(last=False)


class RateLimit:
    """Refuses the calls of an address beyond the limit."""

    def __init__(self, per_minute: int, service_key: str, clock: Clock) -> None:
        self._window = MovingWindow(per_minute, clock)
        self._service_key_hash = hashlib.sha256(service_key.encode()).digest()

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncGenerator[None]:
        """Run the call if its address has not used its share up.

        Errors: RateLimited.
        """
        if not is_open(call.method) and not self._is_service(call):
            self._count(address_of(call.context.peer()))
        yield

    def _count(self, address: str) -> None:
        wait_seconds = self._window.hit(address)
        if wait_seconds <= 0:
            return
        raise RateLimited(
            f"more than {self._window.limit} calls in {WINDOW_SECONDS:.0f} seconds; "
            f"wait {wait_seconds:.1f} seconds",
            retry_after_seconds=wait_seconds,
            subject=f"clientip:{address}",
            limit=str(self._window.limit),
            window_seconds=f"{WINDOW_SECONDS:.0f}",
        )

    def _is_service(self, call: Call) -> bool:
        offered = bearer_text(call.metadata.get("authorization"))
        return hmac.compare_digest(hashlib.sha256(offered.encode()).digest(), self._service_key_hash)


def address_of(peer: str) -> str:
    """Return the client address of a gRPC peer; an IPv6 client is its /64, which is one household."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return kind
    host = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
