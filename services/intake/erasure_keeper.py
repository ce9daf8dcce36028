"""Sees to it that the erased stay erased: finishes what was stopped, destroys keys that came back.

A process can die between the record of an erasure and its certificate, and a restored backup of the vault
brings old keys along. Every round compares who is erased in the log with the vault and the certificates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from services.runtime.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from eventstore.erasure import Certificates
    from eventstore.vault import Vault
    from services.intake.erase import CustomerEraser
    from services.projections.erased_customers import ErasedCustomerReader
    from services.runtime.clock import Clock

INTERVAL_SECONDS: Final = 60.0

_log = structlog.stdlib.get_logger(__name__)


class ErasureKeeper:
    """Keeps the erased erased."""

    def __init__(
        self, reader: ErasedCustomerReader, vault: Vault, certificates: Certificates, eraser: CustomerEraser
    ) -> None:
        self._reader = reader
        self._vault = vault
        self._certificates = certificates
        self._eraser = eraser
        self._certified: set[UUID] = set()

    async def run_once(self) -> bool:
        """Compare once, and mend; nothing is ever left for another round at once.

        Errors: StoreUnavailable; StoreDown.
        """
        erased = await self._reader.all()
        for each in await self._vault.undestroyed(erased):
            await self._vault.destroy(each)
            _log.warning("erasure.key_destroyed", customer=str(each))
        for each in await self._uncertified(erased):
            await self._eraser.resume(each)
            _log.warning("erasure.finished", customer=str(each))
        self._certified.update(erased)
        return False

    async def _uncertified(self, erased: Sequence[UUID]) -> Sequence[UUID]:
        unknown = [each for each in erased if each not in self._certified]
        return [each for each in unknown if await self._certificates.find(each) is None]


def erasure_loop(keeper: ErasureKeeper, clock: Clock, *, interval_seconds: float = INTERVAL_SECONDS) -> Loop:
    """Return the loop that keeps the erased erased."""
    return Loop("erasures", keeper.run_once, interval_seconds=interval_seconds, clock=clock)
