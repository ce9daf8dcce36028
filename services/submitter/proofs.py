"""What was seen, kept: the picture as a sealed file, the words as a sealed blob, the rest in the event."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from directorybolt.event.v1 import profile_events_pb2
from directorybolt.event.v1 import submission_events_pb2 as facts

if TYPE_CHECKING:
    from eventstore.privacy.vault import Vault
    from services.runtime.evidence import EvidenceStore
    from services.submitter.attempt_result import AttemptResult
    from services.submitter.claiming import Claim

PICTURE_TYPE = "image/jpeg"
MATCHED_CHARACTERS_MAX = 500
FIELD_ERRORS_MAX = 50


class Proofs:
    """Keeps evidence for one worker."""

    def __init__(self, vault: Vault, store: EvidenceStore) -> None:
        self._vault = vault
        self._store = store

    async def keep(self, claim: Claim, result: AttemptResult) -> facts.Evidence:
        """Store what an attempt saw, and return what the event says of it."""
        evidence = facts.Evidence(
            http_status=result.http_status,
            signals=result.signals,
            confidence=result.confidence,
            details=await self._sealed_details(claim, result),
        )
        customer_id = UUID(claim.state.customer_id)
        if result.picture_before:
            form = await self._store.put(customer_id, result.picture_before, PICTURE_TYPE)
            evidence.form_proof_id = str(form.proof_id)
        if result.picture:
            answer = await self._store.put(customer_id, result.picture, PICTURE_TYPE)
            evidence.proof_id = str(answer.proof_id)
            evidence.sha256 = answer.sha256
        return evidence

    async def _sealed_details(self, claim: Claim, result: AttemptResult) -> profile_events_pb2.Sealed:
        details = facts.EvidenceDetails(
            final_url=result.final_url,
            listing_url=result.listing_url,
            matched_text=result.matched_text[:MATCHED_CHARACTERS_MAX],
            field_errors=result.field_errors[:FIELD_ERRORS_MAX],
        )
        stream_id, customer_id = UUID(claim.state.submission_id), UUID(claim.state.customer_id)
        sealed = await self._vault.seal(
            customer_id, stream_id.bytes, details.SerializeToString(deterministic=True)
        )
        return profile_events_pb2.Sealed(key_id=str(sealed.key_id), ciphertext=sealed.ciphertext)
