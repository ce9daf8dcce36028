"""Keeps business profiles: every version an event, its content sealed under the customer's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from directorybolt.event.v1 import profile_events_pb2
from directorybolt.profile.v1 import profile_pb2

from eventstore.errors import WrongExpectedVersion
from services.domain import events, identity
from services.domain.errors import (
    EtagMismatch,
    FieldViolation,
    InvalidArgument,
    ProfileNotFound,
    RequestIdReused,
    StreamMovedOn,
)
from services.domain.profile import check, clean
from services.intake import names
from services.intake.sealing import seal, unseal
from services.intake.views import etag, profile_view
from services.runtime import arguments
from services.runtime.ledger import TRIES_MAX, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from directorybolt.intake.v1 import customers_pb2

    from eventstore.privacy.vault import Vault
    from services.intake.customers import Customers
    from services.intake.names import Owned
    from services.runtime.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of a profile; `version` is that of its event."""

    version: int
    event_id: UUID
    sealed: profile_events_pb2.Sealed


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that was asked for. `event_id` is None when the caller gave no request_id."""

    name: Owned
    business: profile_pb2.BusinessProfile
    creates: bool
    etag: str
    request_id: str

    @property
    def event_id(self) -> UUID | None:
        """The id of the event that this request appends, however often it is sent."""
        if not self.request_id:
            return None
        return identity.event_id_for("profile", str(self.name.id), self.request_id)


class Profiles:
    """The profiles of all customers."""

    def __init__(self, ledger: Ledger, vault: Vault, customers: Customers) -> None:
        self._ledger = ledger
        self._vault = vault
        self._customers = customers

    async def upsert(
        self, customer_id: UUID, request: customers_pb2.UpsertProfileRequest
    ) -> customers_pb2.Profile:
        """Create a profile or change it; a repeat gets the first answer, what is the same appends nothing.

        Errors: InvalidArgument; InvalidProfile; ProfileNotFound; EtagMismatch; RequestIdReused;
        CustomerNotFound; CustomerErased.
        """
        wanted = _wanted(customer_id, request)
        check(wanted.business)
        await self._customers.active(customer_id)
        for _ in range(TRIES_MAX):
            revisions = await self._revisions(wanted.name)
            settled = await self._settled(wanted, revisions)
            if settled is not None:
                return settled
            try:
                return await self._append(wanted, revisions)
            except WrongExpectedVersion:
                continue
        raise StreamMovedOn

    async def _settled(self, wanted: Wanted, revisions: Sequence[Revision]) -> customers_pb2.Profile | None:
        """Return the answer when nothing has to be appended, and refuse what may not be."""
        first = next((each for each in revisions if each.event_id == wanted.event_id), None)
        if first is not None:
            shown = await self._show(wanted.name, first)
            if shown.business != wanted.business:
                raise RequestIdReused(request_id=wanted.request_id, profile=shown.name)
            return shown
        if wanted.creates:
            return None
        if not revisions:
            raise ProfileNotFound(profile=names.profile(*wanted.name))
        if wanted.etag and wanted.etag != etag(revisions[-1].version):
            raise EtagMismatch(etag=etag(revisions[-1].version))
        shown = await self._show(wanted.name, revisions[-1])
        return shown if shown.business == wanted.business else None

    async def _append(self, wanted: Wanted, revisions: Sequence[Revision]) -> customers_pb2.Profile:
        fact_class = (
            profile_events_pb2.ProfileCreated if wanted.creates else profile_events_pb2.ProfileRevised
        )
        owner, profile_id = wanted.name
        fact = fact_class(
            profile_id=str(profile_id),
            customer_id=str(owner),
            profile=await seal(self._vault, owner, profile_id, wanted.business),
        )
        before = revisions[-1].version if revisions else 0
        ids = [wanted.event_id] if wanted.event_id else []
        appended = await self._ledger.append(
            Stream(profile_id, events.PROFILE, owner), [fact], before, event_ids=ids
        )
        if appended.duplicate:
            # The same request_id got in between our reading and our append: look what it brought.
            raise WrongExpectedVersion(profile_id, before, appended.versions[0])
        return profile_view(str(owner), str(profile_id), wanted.business, appended.versions[0])

    async def get(self, name: Owned) -> customers_pb2.Profile:
        """Return a profile as it is now.

        Errors: ProfileNotFound; KeyDestroyed when the customer was erased.
        """
        revisions = await self._revisions(name)
        if not revisions:
            raise ProfileNotFound(profile=names.profile(*name))
        return await self._show(name, revisions[-1])

    async def _revisions(self, name: Owned) -> Sequence[Revision]:
        found: list[Revision] = []
        for stored in await self._ledger.history(name.id, name.customer_id):
            fact = events.read(stored)
            if isinstance(fact, profile_events_pb2.ProfileCreated | profile_events_pb2.ProfileRevised):
                found.append(Revision(stored.version, stored.event_id, fact.profile))
        return found

    async def _show(self, name: Owned, revision: Revision) -> customers_pb2.Profile:
        owner, profile_id = name
        business = await unseal(self._vault, owner, profile_id, revision.sealed, profile_pb2.BusinessProfile)
        return profile_view(str(owner), str(profile_id), business, revision.version)


def _wanted(customer_id: UUID, request: customers_pb2.UpsertProfileRequest) -> Wanted:
    asked = request.profile
    creates = not asked.name
    request_id = arguments.request_id(request.request_id) if creates or request.request_id else ""
    if creates:
        profile_id = identity.profile_id_for(str(customer_id), request_id)
        name = names.Owned(customer_id, profile_id)
    else:
        name = names.read_owned(asked.name, "profiles", "profile.name")
    if name.customer_id != customer_id:
        raise ProfileNotFound(profile=asked.name)
    if creates and asked.etag:
        description = "is for a change: leave it out, or give the profile's name"
        raise InvalidArgument(FieldViolation("profile.etag", description))
    business = clean(asked.business)
    # A field that we do not know would be stored unread, and tell a repeat from its first.
    business.DiscardUnknownFields()
    return Wanted(name, business, creates, asked.etag, request_id)
