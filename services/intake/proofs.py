"""Sends proof pictures: only those of the customer's own submissions, opened with the customer's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.intake.v1 import jobs_pb2

from services.domain.errors import ProofNotFound
from services.intake import names
from services.intake.freshness import SUBMISSIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from services.intake.freshness import Freshness
    from services.intake.names import Owned
    from services.projections.submissions import SubmissionReader
    from services.runtime.evidence import EvidenceStore
    from services.runtime.ledger import Ledger

PIECE_BYTES_MAX: Final = 64 * 1024
#: How long the read model may take to learn of a picture that was just taken.
_PATIENCE_SECONDS: Final = 2.0


class Proofs:
    """The proof pictures of all customers."""

    def __init__(
        self, ledger: Ledger, reader: SubmissionReader, freshness: Freshness, evidence: EvidenceStore
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._freshness = freshness
        self._evidence = evidence

    async def pieces(self, name: Owned) -> AsyncGenerator[jobs_pb2.GetProofResponse]:
        """Yield a picture in pieces of at most 64 KiB; the first one says what it is.

        Errors: ProofNotFound; KeyDestroyed when the customer was erased.
        """
        if not await self._is_theirs(name):
            raise ProofNotFound(proof=names.proof(*name))
        picture = await self._evidence.get(name.customer_id, name.id)
        content_type = picture.content_type
        for start in range(0, max(1, len(picture.content)), PIECE_BYTES_MAX):
            chunk = picture.content[start : start + PIECE_BYTES_MAX]
            yield jobs_pb2.GetProofResponse(content_type=content_type, chunk=chunk)
            content_type = ""

    async def _is_theirs(self, name: Owned) -> bool:
        proof_id = str(name.id)
        if await self._reader.has_proof(name.customer_id, proof_id):
            return True
        return await self._caught_up(name.customer_id) and await self._reader.has_proof(
            name.customer_id, proof_id
        )

    async def _caught_up(self, customer_id: UUID) -> bool:
        first = await self._ledger.store.read_stream(customer_id, limit=1, tenant=customer_id)
        if not first:
            return False
        head = await self._ledger.store.head(first[0].position.lane)
        return await self._freshness.covers(head, SUBMISSIONS, seconds=_PATIENCE_SECONDS)
