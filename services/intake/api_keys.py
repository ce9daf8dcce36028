"""Makes, lists and ends a customer's API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from directorybolt.intake.v1 import customers_pb2

from services.domain.attempts import timestamp
from services.domain.errors import CustomerNotFound, FieldViolation, InvalidArgument
from services.intake import names
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from services.intake.customers import Customers
    from services.runtime.clock import Clock
    from services.runtime.tables.api_keys import ApiKeyTable, StoredKey

LIFE_DEFAULT: Final = timedelta(days=90)
LIFE_MAX: Final = timedelta(days=366)
_NAME_CHARACTERS_MAX: Final = 100


class MadeKey(NamedTuple):
    """A key, and its whole text, which is not to be had again."""

    api_key: customers_pb2.ApiKey
    secret: str


class ApiKeys:
    """The keys of all customers."""

    def __init__(self, table: ApiKeyTable, customers: Customers, clock: Clock) -> None:
        self._table = table
        self._customers = customers
        self._clock = clock

    async def create(self, customer_id: UUID, request: customers_pb2.CreateApiKeyRequest) -> MadeKey:
        """Make a key.

        Errors: InvalidArgument; CustomerNotFound; CustomerErased.
        """
        display_name = arguments.cleaned(request.display_name, "display_name", most=_NAME_CHARACTERS_MAX)
        expires_at = self._clock.now() + _life(request)
        await self._customers.active(customer_id)
        stored, secret = await self._table.create(
            customer_id, display_name=display_name, expires_at=expires_at
        )
        return MadeKey(_view(stored), secret)

    async def list(self, customer_id: UUID) -> Sequence[customers_pb2.ApiKey]:
        """Return a customer's keys, newest first, at most 100.

        Errors: CustomerNotFound.
        """
        await self._customers.terms(customer_id)
        return [_view(each) for each in await self._table.list(customer_id)]

    async def revoke(self, customer_id: UUID, key_id: str) -> customers_pb2.ApiKey:
        """End a key; ending it again changes nothing.

        Errors: CustomerNotFound when the customer has no such key.
        """
        stored = await self._table.revoke(customer_id, key_id)
        if stored is None:
            name = names.api_key(customer_id, key_id)
            raise CustomerNotFound("there is no such API key, or it is not yours", api_key=name)
        return _view(stored)


def _life(request: customers_pb2.CreateApiKeyRequest) -> timedelta:
    if not request.HasField("ttl"):
        return LIFE_DEFAULT
    try:
        life = request.ttl.ToTimedelta()
    except (OverflowError, ValueError):
        life = timedelta(0)
    if not timedelta(0) < life <= LIFE_MAX:
        description = f"has to be more than nothing and at most {LIFE_MAX.days} days"
        raise InvalidArgument(FieldViolation("ttl", description))
    return life


def _view(stored: StoredKey) -> customers_pb2.ApiKey:
    view = customers_pb2.ApiKey(
        name=names.api_key(stored.customer_id, stored.key_id),
        display_name=stored.display_name,
        scopes=stored.scopes,
        create_time=timestamp(stored.created_at),
        expire_time=timestamp(stored.expires_at),
    )
    if stored.revoked_at:
        view.revoke_time.CopyFrom(timestamp(stored.revoked_at))
    return view
