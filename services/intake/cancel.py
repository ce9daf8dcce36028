"""Asks for the end of a job; what is permitted already still finishes, and the scheduler ends the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import job_events_pb2

from services.domain import job
from services.domain.errors import JobFinished, JobNotFound
from services.intake import names
from services.intake.sealing import seal
from services.runtime import arguments
from services.runtime.ledger import JOB, Why, job_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from directorybolt.event.v1.profile_events_pb2 import Sealed
    from google.protobuf.message import Message

    from eventstore.privacy.vault import Vault
    from services.domain.job import Job
    from services.intake.names import Owned
    from services.runtime.ledger import Ledger

_REASON_CHARACTERS_MAX: Final = 500


async def cancel_job(ledger: Ledger, vault: Vault, name: Owned, reason: str) -> None:
    """Ask to cancel a job; asking again changes nothing.

    Errors: InvalidArgument; JobNotFound; JobFinished; KeyDestroyed when the customer was erased.
    """
    words = arguments.cleaned(reason, "reason", most=_REASON_CHARACTERS_MAX)
    if not await ledger.store.read_stream(name.id, limit=1, tenant=name.customer_id):
        raise JobNotFound(job=names.job(*name))
    details = await _sealed(vault, name, words) if words else None

    def _decide(state: Job) -> Sequence[Message] | None:
        if state.finished:
            raise JobFinished(job=names.job(*name))
        return job.request_cancel(state, details)

    stream = job_stream(str(name.id), str(name.customer_id))
    await ledger.change(JOB, stream, _decide, Why(correlation_id=name.id))


async def _sealed(vault: Vault, name: Owned, words: str) -> Sealed:
    return await seal(vault, name.customer_id, name.id, job_events_pb2.CancelDetails(reason=words))
