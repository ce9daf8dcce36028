"""Accepts an order: once per request_id, for ever, and only when all that it names is there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import job_events_pb2
from directorybolt.intake.v1 import jobs_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.errors import WrongExpectedVersion
from eventstore.types import NO_STREAM
from services.domain import identity
from services.domain.errors import (
    FieldViolation,
    InvalidArgument,
    ProfileNotFound,
    RequestIdReused,
    ScopeMissing,
)
from services.domain.packages import TERMS
from services.intake import access, names
from services.intake.streams import read_job
from services.runtime import arguments
from services.runtime.ledger import Why, job_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from services.domain.kinds import Package, Priority
    from services.intake.customers import Customers
    from services.intake.directories import Directories
    from services.intake.names import Owned
    from services.intake.profiles import Profiles
    from services.runtime.ledger import Ledger

DIRECTORIES_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Order:
    """A request, read: whose, what, where, how soon, and the hash that tells a repeat from a reuse."""

    profile: Owned
    directory_ids: Sequence[str]
    priority: Priority
    request_id: str
    body_hash: bytes

    @property
    def customer_id(self) -> UUID:
        """Whose order it is."""
        return self.profile.customer_id

    @property
    def job_id(self) -> UUID:
        """The job that this order makes, however often it is sent."""
        return identity.job_id_for(str(self.customer_id), self.request_id)


class JobDesk:
    """Where orders are accepted."""

    def __init__(
        self, ledger: Ledger, customers: Customers, profiles: Profiles, directories: Directories
    ) -> None:
        self._ledger = ledger
        self._customers = customers
        self._profiles = profiles
        self._directories = directories

    async def accept(self, customer_id: UUID, request: jobs_pb2.CreateJobRequest) -> UUID:
        """Accept an order and return its job; a repeat gets the job of the first.

        Errors: InvalidArgument, ScopeMissing, CustomerNotFound, ProfileNotFound, DirectoryNotFound,
        RequestIdReused; KeyDestroyed when the customer was erased. Nothing is stored then.
        """
        order = read_order(customer_id, request)
        if not await self._came_before(order):
            fact = await self._decide(order)
            stream = job_stream(fact.job_id, fact.customer_id)
            try:
                await self._ledger.append(stream, [fact], NO_STREAM, Why(correlation_id=order.job_id))
            except WrongExpectedVersion:
                await self._came_before(order)
        return order.job_id

    async def _came_before(self, order: Order) -> bool:
        job = (await read_job(self._ledger, order.job_id, order.customer_id)).state
        if job.version and job.body_hash != order.body_hash:
            raise RequestIdReused(request_id=order.request_id, job=names.job(order.customer_id, job.job_id))
        return job.version > 0

    async def _decide(self, order: Order) -> job_events_pb2.JobAccepted:
        terms = await self._customers.active(order.customer_id)
        priority = _priority(order.priority, terms.package)
        profile = await self._profiles.get(order.profile)
        arguments.refuse(_too_many(order.directory_ids, terms.package))
        await self._directories.check_orderable(order.directory_ids)
        return job_events_pb2.JobAccepted(
            job_id=str(order.job_id),
            customer_id=str(order.customer_id),
            profile_id=str(order.profile.id),
            profile_version=profile.version,
            directory_ids=order.directory_ids,
            package=terms.package,
            priority=priority,
            request_id=order.request_id,
            body_hash=order.body_hash,
        )


def read_order(customer_id: UUID, request: jobs_pb2.CreateJobRequest) -> Order:
    """Return what a request asks for.

    Errors: InvalidArgument; ProfileNotFound when the profile is another customer's.
    """
    request_id = arguments.request_id(request.request_id)
    profile = names.read_owned(request.profile, "profiles", "profile")
    if profile.customer_id != customer_id:
        raise ProfileNotFound(profile=request.profile)
    if len(request.directories) > DIRECTORIES_MAX:
        description = f"has {len(request.directories)} entries, at most {DIRECTORIES_MAX} are allowed"
        raise InvalidArgument(FieldViolation("directories", description))
    ids = [
        names.read_directory(each, f"directories[{index}]") for index, each in enumerate(request.directories)
    ]
    arguments.refuse(_twice(ids))
    if request.priority not in job_pb2.Priority.values():
        raise InvalidArgument(FieldViolation("priority", "is none of P1, P2 and P3"))
    return Order(profile, ids, request.priority, request_id, _body_hash(profile, ids, request.priority))


def _body_hash(profile: Owned, directory_ids: Sequence[str], priority: Priority) -> bytes:
    """Return the SHA-256 of a request in its one form: names as we write them, no request_id."""
    body = jobs_pb2.CreateJobRequest(
        parent=names.customer(profile.customer_id),
        profile=names.profile(*profile),
        directories=[names.directory(each) for each in directory_ids],
        priority=priority,
    )
    return hashlib.sha256(body.SerializeToString(deterministic=True)).digest()


def _twice(directory_ids: Sequence[str]) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for index, each in enumerate(directory_ids):
        if each in seen:
            description = f"{names.directory(each)} is there twice: name every directory once"
            yield FieldViolation(f"directories[{index}]", description)
        seen.add(each)


def _too_many(directory_ids: Sequence[str], package: Package) -> Iterator[FieldViolation]:
    limit = TERMS[package].directories_max
    if len(directory_ids) > limit:
        bought = job_pb2.Package.Name(package)
        description = f"has {len(directory_ids)} entries, {bought} covers at most {limit}"
        yield FieldViolation("directories", description)


def _priority(asked: Priority, package: Package) -> Priority:
    usual = TERMS[package].priority
    if asked in {job_pb2.PRIORITY_UNSPECIFIED, usual}:
        return usual
    if not access.is_staff():
        ours = job_pb2.Priority.Name(usual)
        raise ScopeMissing(f"only staff may set another priority than the package's, {ours}")
    return asked
