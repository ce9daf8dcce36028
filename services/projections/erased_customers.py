"""Who was erased, and the event that recorded it: what nobody may hold a key of. Owner: intake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from eventstore.types import LEDGER_LANE, Filter
from services.domain import events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent
    from services.projections.reading import Reads

_SAVE: Final[LiteralString] = """
insert into erased_customer (customer_id, erased_at) values (%(customer_id)s, %(erased_at)s)
on conflict do nothing
"""
_ALL: Final[LiteralString] = "select customer_id from intake.erased_customer order by erased_at, customer_id"


class ErasedCustomersProjection:
    """Keeps one row per erased customer."""

    name = "erased_customers"
    version = 1
    schema = "intake"
    tables = ("erased_customer",)
    lanes = (LEDGER_LANE,)
    only = Filter(categories=frozenset({events.CUSTOMER}), event_types=frozenset({"CustomerErased"}))

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write the erasures of a page of events."""
        rows = [{"customer_id": each.tenant, "erased_at": each.recorded_at} for each in page]
        await connection.cursor().executemany(_SAVE, rows)

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget all rows, to be built again from the beginning."""
        await connection.execute("truncate erased_customer")


class ErasedCustomerReader:
    """Reads who was erased."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def all(self) -> Sequence[UUID]:
        """Return every erased customer, the first one first.

        Errors: StoreDown.
        """
        async with self._reads.of_all() as connection:
            return [row[0] for row in await (await connection.execute(_ALL)).fetchall()]
