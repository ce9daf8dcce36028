"""Erases a customer for ever: ends the jobs, records the erasure, destroys the key, and certifies it.

The order is what makes it safe to stop anywhere. Jobs end first, so that no form is sent with data whose
owner is gone, and what a site answered can still be recorded. `CustomerErased` is recorded next: from then on
nothing new is taken for the customer, and whoever finds a key of theirs destroys it. Then go the key, the
API keys and the pictures; the certificate comes last. Asked again, it goes on where it was.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from directorybolt.event.v1 import profile_events_pb2

from eventstore.errors import WrongExpectedVersion
from services.domain import erasure, events, identity, job
from services.domain.errors import CustomerBusy, CustomerNotFound, FieldViolation, InvalidArgument
from services.domain.sealed_facts import sealed_parts
from services.intake import names
from services.intake.holdings import holdings_of
from services.runtime import arguments
from services.runtime.ledger import JOB, TRIES_MAX, Stream, Why, job_stream

if TYPE_CHECKING:
    from directorybolt.intake.v1 import erasure_pb2

    from eventstore.privacy.certificate import Certificate
    from eventstore.privacy.erasure import Erasures
    from eventstore.privacy.vault import Vault
    from eventstore.types import StoredEvent
    from services.domain.job import Job
    from services.intake.customers import Customers
    from services.runtime.clock import Clock
    from services.runtime.evidence import EvidenceStore
    from services.runtime.ledger import Ledger
    from services.runtime.tables.api_keys import ApiKeyTable

#: How long a call waits for jobs to end; after that it is asked again.
PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ErasureNeeds:
    """What erasing takes."""

    ledger: Ledger
    vault: Vault
    customers: Customers
    api_keys: ApiKeyTable
    evidence: EvidenceStore
    erasures: Erasures
    clock: Clock


class CustomerEraser:
    """Erases customers."""

    def __init__(self, needs: ErasureNeeds, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._needs = needs
        self._ledger = needs.ledger
        self._patience_seconds = patience_seconds

    async def erase(self, customer_id: UUID, request: erasure_pb2.EraseCustomerRequest) -> Certificate:
        """Erase a customer; asked again, give the first certificate.

        Errors: InvalidArgument; CustomerNotFound; CustomerBusy while jobs are being cancelled.
        """
        mark = await self._mark(customer_id)
        if mark is None:
            arguments.refuse(erasure.violations(request.ground, request.case_number))
            await self._confirm(customer_id, request.confirm_display_name)
            await self._end_jobs(customer_id)
            mark = await self._record(customer_id, request)
        return await self.finish(mark)

    async def resume(self, customer_id: UUID) -> None:
        """Finish an erasure that was recorded and stopped.

        Errors: those of `finish`.
        """
        mark = await self._mark(customer_id)
        if mark is not None:
            await self.finish(mark)

    async def finish(self, mark: StoredEvent) -> Certificate:
        """Do what a recorded erasure still lacks, and return the certificate; `mark` is its CustomerErased.

        Errors: StoreUnavailable; StoreDown; OSError when a picture cannot be deleted.
        """
        fact = events.read(mark)
        if not isinstance(fact, profile_events_pb2.CustomerErased):
            raise TypeError(f"{mark.event_type} records no erasure")
        await self._needs.vault.destroy(mark.tenant)
        keys = await self._needs.api_keys.end_all(mark.tenant)
        held = await holdings_of(self._ledger.store, mark.tenant)
        for late in held.open_jobs:
            await self._cancel(late)
        await self._needs.evidence.delete([UUID(each) for each in held.proofs])
        said = {
            "ground": profile_events_pb2.ErasureGround.Name(fact.ground),
            "case_number": fact.case_number,
            "api_keys_ended_count": keys,
            "pictures_deleted_count": len(held.proofs),
        }
        return await self._needs.erasures.erase(mark, is_sealed, said)

    async def _mark(self, customer_id: UUID) -> StoredEvent | None:
        history = await self._ledger.history(customer_id, customer_id)
        if not history:
            raise CustomerNotFound(customer=names.customer(customer_id))
        return next((each for each in history if each.event_type == "CustomerErased"), None)

    async def _confirm(self, customer_id: UUID, display_name: str) -> None:
        if (await self._needs.customers.get(customer_id)).display_name != display_name:
            description = "is not the customer's display_name: are you sure that you mean this one?"
            raise InvalidArgument(FieldViolation("confirm_display_name", description))

    async def _end_jobs(self, customer_id: UUID) -> None:
        store, clock = self._ledger.store, self._needs.clock
        ends_at = clock.monotonic() + self._patience_seconds
        running = (await holdings_of(store, customer_id)).open_jobs
        for each in running:
            await self._cancel(each)
        while running := [each for each in await self._again(running) if not each.finished]:
            if clock.monotonic() >= ends_at:
                left = str(len(running))
                raise CustomerBusy(retry_after_seconds=_RETRY_SECONDS, jobs_open_count=left)
            await clock.sleep(_LOOK_SECONDS)

    async def _cancel(self, open_job: Job) -> None:
        stream = job_stream(open_job.job_id, open_job.customer_id)
        why = Why(correlation_id=stream.stream_id)
        await self._ledger.change(JOB, stream, lambda state: job.request_cancel(state, None), why)

    async def _again(self, jobs: list[Job]) -> list[Job]:
        return list(await asyncio.gather(*(self._ledger.job(each.job_id) for each in jobs)))

    async def _record(self, customer_id: UUID, request: erasure_pb2.EraseCustomerRequest) -> StoredEvent:
        fact = profile_events_pb2.CustomerErased(
            customer_id=str(customer_id), ground=request.ground, case_number=request.case_number
        )
        stream = Stream(customer_id, events.CUSTOMER, customer_id)
        event_id = identity.event_id_for("erased", str(customer_id))
        for _ in range(TRIES_MAX):
            before = len(await self._ledger.history(customer_id))
            with suppress(WrongExpectedVersion):
                await self._ledger.append(stream, [fact], before, event_ids=[event_id])
            mark = await self._mark(customer_id)
            if mark is not None:
                return mark
        raise CustomerBusy(retry_after_seconds=_RETRY_SECONDS)


def is_sealed(stored: StoredEvent) -> bool:
    """Tell whether an event holds something sealed.

    Errors: UnknownEvent when a newer release stored it: that one has to certify the erasure.
    """
    return any(sealed_parts(events.read(stored)))
