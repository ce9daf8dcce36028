"""Exports all that is held on a customer, opened; of an erased one what remains, without the person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from directorybolt.intake.v1 import customers_pb2, erasure_pb2
from directorybolt.profile.v1 import profile_pb2
from google.protobuf.json_format import MessageToDict

from eventstore.errors import KeyDestroyed
from services.domain import events
from services.domain.attempts import timestamp
from services.domain.sealed_facts import sealed_parts
from services.intake import names
from services.intake.certificate_view import certificate_view
from services.intake.holdings import Holdings, customer_events
from services.intake.names import Owned
from services.intake.sealing import unseal
from services.intake.views import profile_view
from services.runtime.event_view import event_view

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from directorybolt.event.v1 import profile_events_pb2
    from google.protobuf.message import Message

    from eventstore.privacy.erasure import Certificates
    from eventstore.privacy.vault import Vault
    from eventstore.types import StoredEvent
    from services.intake.api_keys import ApiKeys
    from services.intake.customers import Customers, Terms
    from services.intake.evidence_details import SubmissionPresenter
    from services.intake.show_job import JobShow
    from services.runtime.ledger import Ledger
    from services.runtime.tokens import TokenSealer

M = TypeVar("M", bound="Message")

#: Stands where something sealed was, of a customer who was erased.
ERASED: Final = {"erased": True}


@dataclass(frozen=True, slots=True)
class ExportNeeds:
    """What exporting takes."""

    ledger: Ledger
    vault: Vault
    customers: Customers
    api_keys: ApiKeys
    show: JobShow
    presenter: SubmissionPresenter
    certificates: Certificates
    sealer: TokenSealer


class CustomerExport:
    """Exports customers."""

    def __init__(self, needs: ExportNeeds) -> None:
        self._needs = needs

    async def documents(self, customer_id: UUID) -> AsyncGenerator[erasure_pb2.ExportCustomerResponse]:
        """Yield one document after the other.

        Errors: CustomerNotFound; StoreUnavailable.
        """
        terms = await self._needs.customers.terms(customer_id)
        yield _document(erasure_pb2.EXPORT_KIND_CUSTOMER, await self._customer(terms))
        for key in await self._needs.api_keys.list(customer_id):
            yield _document(erasure_pb2.EXPORT_KIND_API_KEY, key)
        held = Holdings()
        async for stored in customer_events(self._needs.ledger.store, customer_id):
            held.take(stored)
            if stored.category == events.PROFILE:
                yield _document(erasure_pb2.EXPORT_KIND_PROFILE, await self._profile(stored))
        async for each in self._work(customer_id, held):
            yield each
        async for stored in customer_events(self._needs.ledger.store, customer_id):
            yield await self._event(stored)
        certificate = await self._needs.certificates.find(customer_id)
        if certificate is not None:
            yield _document(erasure_pb2.EXPORT_KIND_ERASURE_CERTIFICATE, certificate_view(certificate))

    async def _customer(self, terms: Terms) -> customers_pb2.Customer:
        if not terms.erased:
            return await self._needs.customers.get(terms.customer_id)
        return customers_pb2.Customer(
            name=names.customer(terms.customer_id),
            package=terms.package,
            create_time=timestamp(terms.created_at),
        )

    async def _profile(self, stored: StoredEvent) -> customers_pb2.Profile:
        """Return the version of a profile that an event made; empty when it cannot be opened."""
        [part] = sealed_parts(events.read(stored))
        business = await self._opened(stored, part.sealed, profile_pb2.BusinessProfile)
        owner, profile_id = str(stored.tenant), str(stored.stream_id)
        return profile_view(owner, profile_id, business or profile_pb2.BusinessProfile(), stored.version)

    async def _work(
        self, customer_id: UUID, held: Holdings
    ) -> AsyncGenerator[erasure_pb2.ExportCustomerResponse]:
        for job_id in held.jobs.states:
            shown = await self._needs.show.job(Owned(customer_id, job_id))
            yield _document(erasure_pb2.EXPORT_KIND_JOB, shown)
        for state in held.submissions.states.values():
            yield _document(erasure_pb2.EXPORT_KIND_SUBMISSION, await self._needs.presenter.show(state))
        for proof_id in held.proofs:
            name = names.proof(customer_id, proof_id)
            yield _response(erasure_pb2.EXPORT_KIND_PROOF, name, {"name": name})

    async def _event(self, stored: StoredEvent) -> erasure_pb2.ExportCustomerResponse:
        """Return an event with what is sealed in it opened in its place."""
        shown = _as_json(event_view(stored, self._needs.sealer))
        fact = events.read(stored)
        for part in sealed_parts(fact):
            *above, last = (events.MEMBER_BY_TYPE[stored.event_type], *part.path)
            holder = shown
            for each in above:
                holder = holder[each]
            opened = await self._opened(stored, part.sealed, part.message_class)
            holder[last] = ERASED if opened is None else _as_json(opened)
        name = f"{stored.category}s/{stored.stream_id}/events/{stored.version}"
        return _response(erasure_pb2.EXPORT_KIND_EVENT, name, shown)

    async def _opened(
        self, stored: StoredEvent, sealed: profile_events_pb2.Sealed, message_class: type[M]
    ) -> M | None:
        try:
            return await unseal(self._needs.vault, stored.tenant, stored.stream_id, sealed, message_class)
        except KeyDestroyed:
            return None


def _document(kind: erasure_pb2.ExportKind.ValueType, message: Any) -> erasure_pb2.ExportCustomerResponse:
    return _response(kind, message.name, _as_json(message))


def _response(
    kind: erasure_pb2.ExportKind.ValueType, name: str, document: dict[str, Any]
) -> erasure_pb2.ExportCustomerResponse:
    text = json.dumps(document, ensure_ascii=False)
    return erasure_pb2.ExportCustomerResponse(kind=kind, name=name, json=text)


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)
