"""Takes customers on, and shows them; name and address are sealed in the customer's own stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import profile_events_pb2
from directorybolt.intake.v1 import customers_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.errors import WrongExpectedVersion
from eventstore.types import NO_STREAM
from services.domain import events, identity
from services.domain.errors import CustomerErased, CustomerNotFound, FieldViolation, RequestIdReused
from services.domain.packages import TERMS
from services.domain.profile import clean_text, is_email_address
from services.intake import names
from services.intake.sealing import seal, unseal
from services.intake.views import customer_view
from services.runtime import arguments
from services.runtime.ledger import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from eventstore.privacy.vault import Vault
    from services.domain.kinds import Package
    from services.runtime.ledger import Ledger

_NAME_CHARACTERS_MAX: Final = 200
_EMAIL_CHARACTERS_MAX: Final = 254


@dataclass(frozen=True, slots=True)
class Terms:
    """What a customer bought, and since when; nothing personal."""

    customer_id: UUID
    package: Package
    created_at: datetime
    sealed: profile_events_pb2.Sealed
    erased: bool = False


class Customers:
    """The customers."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    async def create(self, request: customers_pb2.CreateCustomerRequest) -> customers_pb2.Customer:
        """Take a customer on; a repeat gets the first answer.

        Errors: InvalidArgument; RequestIdReused.
        """
        request_id = arguments.request_id(request.request_id)
        wanted = _cleaned(request.customer)
        arguments.refuse(_violations(wanted))
        customer_id = identity.customer_id_for(request_id)
        found = await self.find(customer_id) or await self._append(customer_id, wanted)
        shown = await self._show(found)
        if _body(shown) != _body(wanted):
            raise RequestIdReused(request_id=request_id, customer=shown.name)
        return shown

    async def _append(self, customer_id: UUID, wanted: customers_pb2.Customer) -> Terms:
        details = profile_events_pb2.CustomerDetails(display_name=wanted.display_name, email=wanted.email)
        fact = profile_events_pb2.CustomerCreated(
            customer_id=str(customer_id),
            package=wanted.package,
            details=await seal(self._vault, customer_id, customer_id, details),
        )
        stream = Stream(customer_id, events.CUSTOMER, customer_id)
        try:
            appended = await self._ledger.append(stream, [fact], NO_STREAM)
        except WrongExpectedVersion:
            return await self.terms(customer_id)
        return Terms(customer_id, fact.package, appended.recorded_at, fact.details)

    async def get(self, customer_id: UUID) -> customers_pb2.Customer:
        """Return a customer.

        Errors: CustomerNotFound; CustomerErased.
        """
        return await self._show(await self.active(customer_id))

    async def active(self, customer_id: UUID) -> Terms:
        """Return what a customer bought who is still one of ours.

        Errors: CustomerNotFound; CustomerErased.
        """
        found = await self.terms(customer_id)
        if found.erased:
            raise CustomerErased(customer=names.customer(customer_id))
        return found

    async def terms(self, customer_id: UUID) -> Terms:
        """Return what a customer bought.

        Errors: CustomerNotFound.
        """
        found = await self.find(customer_id)
        if found is None:
            raise CustomerNotFound(customer=names.customer(customer_id))
        return found

    async def find(self, customer_id: UUID) -> Terms | None:
        """Return what a customer bought; None when there is no such customer."""
        found: Terms | None = None
        for stored in await self._ledger.history(customer_id, customer_id):
            fact = events.read(stored)
            if isinstance(fact, profile_events_pb2.CustomerCreated):
                found = Terms(customer_id, fact.package, stored.recorded_at, fact.details)
            elif isinstance(fact, profile_events_pb2.CustomerErased) and found is not None:
                found = replace(found, erased=True)
        return found

    async def _show(self, terms: Terms) -> customers_pb2.Customer:
        owner = terms.customer_id
        details = await unseal(self._vault, owner, owner, terms.sealed, profile_events_pb2.CustomerDetails)
        return customer_view(str(owner), terms.package, details, terms.created_at)


def _cleaned(asked: customers_pb2.Customer) -> customers_pb2.Customer:
    return customers_pb2.Customer(
        display_name=clean_text(asked.display_name), email=clean_text(asked.email), package=asked.package
    )


def _violations(wanted: customers_pb2.Customer) -> Iterator[FieldViolation]:
    field = "customer.display_name"
    yield from arguments.length(wanted.display_name, field, least=1, most=_NAME_CHARACTERS_MAX)
    yield from arguments.length(wanted.email, "customer.email", most=_EMAIL_CHARACTERS_MAX)
    if wanted.email and not is_email_address(wanted.email):
        yield FieldViolation("customer.email", "is no e-mail address: write name@example.com")
    if wanted.package not in TERMS:
        packages = ", ".join(job_pb2.Package.Name(each) for each in TERMS)
        yield FieldViolation("customer.package", f"is required: give one of {packages}")


def _body(customer: customers_pb2.Customer) -> tuple[str, str, int]:
    return customer.display_name, customer.email, customer.package
