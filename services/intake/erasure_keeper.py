"""Sees to it that the erased stay erased: finishes what was stopped, destroys keys that came back.

A process can die between the record of an erasure and its certificate, and a restored backup of the vault
brings old keys along. Every round compares who is erased in the log with the vault and the certificates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from eventstore.privacy.erasure import Certificates
    from eventstore.privacy.vault import Vault
    from services.intake.erase import CustomerEraser
    from services.projections.erased_customers import ErasedCustomerReader

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
        revived = await self._vault.undestroyed(erased)
        # The keys first, all of them: nothing else is as urgent.
        for each in revived:
            await self._vault.destroy(each)
            _log.warning("erasure.key_destroyed", customer=str(each))
        # Where an old key came back, old pictures and API keys may have come along.
        for each in dict.fromkeys([*revived, *await self._uncertified(erased)]):
            await self._eraser.resume(each)
            _log.warning("erasure.finished", customer=str(each))
        self._certified.update(erased)
        return False

    async def _uncertified(self, erased: Sequence[UUID]) -> Sequence[UUID]:
        unknown = [each for each in erased if each not in self._certified]
        return [each for each in unknown if await self._certificates.find(each) is None]
