"""Which lane a tenant's events go to, and which lanes there are to follow.

Order within a tenant is kept, order across tenants is not.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from eventstore.types import LEDGER_LANE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_WITHOUT_SIGN = (1 << 63) - 1


def lane_of(tenant: UUID, lanes: int) -> int:
    """Return the tenant's lane, 0 to `lanes` - 1; the same as the database's `es.lane_of_v1`."""
    digest = hashlib.sha256(tenant.bytes).digest()
    return (int.from_bytes(digest[:8], "big") & _WITHOUT_SIGN) % lanes


def followed(lanes: Sequence[int], ledger_lanes: int) -> Sequence[int]:
    """Return the lanes to read for who follows these: LEDGER_LANE stands for the ledger, whole as it is."""
    return [lane for each in lanes for lane in (range(ledger_lanes) if each == LEDGER_LANE else (each,))]
