"""Which lane a tenant's events go to: order within a tenant is kept, order across tenants is not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

_WITHOUT_SIGN = (1 << 63) - 1


def lane_of(tenant: UUID, lanes: int) -> int:
    """Return the tenant's lane, 0 to `lanes` - 1; the same as the database's `es.lane_of_v1`."""
    digest = hashlib.sha256(tenant.bytes).digest()
    return (int.from_bytes(digest[:8], "big") & _WITHOUT_SIGN) % lanes
