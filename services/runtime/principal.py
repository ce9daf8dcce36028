"""Who is calling: set by the authenticate interceptor, asked for by handlers."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from services.domain.errors import ApiKeyInvalid

if TYPE_CHECKING:
    from uuid import UUID


class Kind(Enum):
    """What sort of caller it is."""

    STAFF = "staff"
    SERVICE = "service"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key was good; only customers have a customer id."""

    kind: Kind
    customer_id: UUID | None
    key_id: str

    @property
    def actor(self) -> str:
        """What events record as their author: the key, never the person."""
        return f"{self.kind.value}:{self.key_id}"

    def may_see(self, customer_id: UUID) -> bool:
        """Tell whether this customer's things are the caller's to see."""
        return self.kind is not Kind.CUSTOMER or self.customer_id == customer_id


_current: ContextVar[Principal | None] = ContextVar("directorybolt_principal", default=None)


def current_principal() -> Principal:
    """Return who is calling.

    Errors: ApiKeyInvalid outside of an authenticated call.
    """
    principal = _current.get()
    if principal is None:
        raise ApiKeyInvalid
    return principal


def become(principal: Principal) -> None:
    """Set the caller of the call whose task this is. Never undone: the task ends with the call."""
    _current.set(principal)
