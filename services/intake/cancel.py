"""Asks for the end of a job; what is permitted already still finishes, and the scheduler ends the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.domain import job
from services.domain.errors import JobFinished, JobNotFound
from services.intake import names
from services.runtime import arguments
from services.runtime.ledger import JOB, Why, job_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from services.domain.job import Job
    from services.intake.names import Owned
    from services.runtime.ledger import Ledger

_REASON_CHARACTERS_MAX: Final = 500


async def cancel_job(ledger: Ledger, name: Owned, reason: str) -> None:
    """Ask to cancel a job; asking again changes nothing.

    Errors: InvalidArgument; JobNotFound; JobFinished.
    """
    words = arguments.cleaned(reason, "reason", most=_REASON_CHARACTERS_MAX)
    if not await ledger.store.read_stream(name.id, limit=1, tenant=name.customer_id):
        raise JobNotFound(job=names.job(*name))

    def _decide(state: Job) -> Sequence[Message] | None:
        if state.finished:
            raise JobFinished(job=names.job(*name))
        return job.request_cancel(state, words)

    stream = job_stream(str(name.id), str(name.customer_id))
    await ledger.change(JOB, stream, _decide, Why(correlation_id=name.id))
