"""Shows submissions with what their sites said, as long as the customer's key is there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from directorybolt.event.v1 import submission_events_pb2

from eventstore.errors import KeyDestroyed
from services.intake.sealing import unseal
from services.intake.views import submission_view

if TYPE_CHECKING:
    from directorybolt.job.v1 import job_pb2

    from eventstore.privacy.vault import Vault
    from services.domain.submission import Submission


class SubmissionPresenter:
    """Turns states into answers."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def show(self, state: Submission) -> job_pb2.Submission:
        """Return a submission as the contract shows it."""
        return submission_view(state, await self._details(state))

    async def _details(self, state: Submission) -> submission_events_pb2.EvidenceDetails | None:
        """Open what was seen last; None when nothing was, or the customer was erased."""
        if state.evidence is None or not state.evidence.details.ciphertext:
            return None
        customer_id, stream_id = UUID(state.customer_id), UUID(state.submission_id)
        sealed = state.evidence.details
        try:
            return await unseal(
                self._vault, customer_id, stream_id, sealed, submission_events_pb2.EvidenceDetails
            )
        except KeyDestroyed:
            return None
