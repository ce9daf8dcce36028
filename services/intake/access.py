"""Whose things a caller may touch: a customer's key its own, staff and services everybody's.

Which methods are for whom at all is the runtime's table; here it is about the customer in a name. What is
another's does not exist for the caller, in the same words as what is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.domain.errors import CustomerNotFound
from services.intake import names
from services.runtime.principal import Kind, current_principal

if TYPE_CHECKING:
    from uuid import UUID

    from services.domain.errors import NotFound
    from services.intake.names import Owned


def parent(name: str) -> UUID:
    """Return the customer of a parent's name.

    Errors: InvalidArgument; CustomerNotFound when it is another's.
    """
    customer_id = names.read_customer(name, "parent")
    return its_own(customer_id, name, CustomerNotFound)


def owned(name: str, kind: str, error: type[NotFound], field: str = "name") -> Owned:
    """Return customer and id of a resource's name.

    Errors: InvalidArgument; `error` when it is another's.
    """
    found = names.read_owned(name, kind, field)
    its_own(found.customer_id, name, error)
    return found


def its_own(customer_id: UUID, name: str, error: type[NotFound]) -> UUID:
    """Return the customer, if the caller may see it.

    Errors: `error` otherwise.
    """
    if not current_principal().may_see(customer_id):
        raise error(name=name)
    return customer_id


def is_staff() -> bool:
    """Return whether the caller is one of us."""
    return current_principal().kind is Kind.STAFF
