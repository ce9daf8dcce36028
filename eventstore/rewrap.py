"""Changes the master key: wraps every tenant's key anew, without opening anything that they sealed.

What is rewrapped says so in its row, so a run that was stopped goes on where it was, and processes that have
both master keys work all the while. A key that is destroyed meanwhile stays destroyed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from eventstore.connections import connect
from eventstore.master_key import choose, key_context
from eventstore.vault import VAULT_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.master_key import MasterKey

KEYS_PER_PAGE: Final = 64

_LEFT: LiteralString = (
    "select count(*) from vault.tenant_key where wrapped_key is not null and master_key_id <> %s"
)
_PAGE: LiteralString = (
    "select tenant, key_id, wrapped_key, master_key_id from vault.tenant_key"
    " where wrapped_key is not null and master_key_id <> %s order by tenant limit %s"
)
_REPLACE: LiteralString = (
    "update vault.tenant_key set wrapped_key = %(rewrapped)s, master_key_id = %(master_key_id)s"
    " where tenant = %(tenant)s and wrapped_key = %(wrapped)s"
)


class _WrappedKey(NamedTuple):
    tenant: UUID
    key_id: UUID
    wrapped: bytes
    master_key_id: str


async def rewrap(
    conninfo: str,
    master_key: MasterKey,
    former: Sequence[MasterKey],
    report: Callable[[int, int], None] = lambda _done, _left: None,
) -> int:
    """Wrap by `master_key` whatever another one wrapped, and return how many keys that were.

    `report` is told how many are done and how many are left.
    Errors: MasterKeyMissing; MasterKeyUnavailable; InvalidTag when a row was altered; psycopg.Error.
    """
    done = 0
    async with await connect(conninfo, VAULT_ROLE, "rewrap") as connection:
        while page := await _page(connection, master_key.master_key_id):
            await asyncio.gather(*(_rewrap(connection, each, master_key, former) for each in page))
            done += len(page)
            report(done, await _left(connection, master_key.master_key_id))
    return done


async def _page(connection: AsyncConnection, master_key_id: str) -> Sequence[_WrappedKey]:
    cursor = await connection.execute(_PAGE, [master_key_id, KEYS_PER_PAGE])
    return [_WrappedKey(row[0], row[1], bytes(row[2]), row[3]) for row in await cursor.fetchall()]


async def _rewrap(
    connection: AsyncConnection, key: _WrappedKey, master_key: MasterKey, former: Sequence[MasterKey]
) -> None:
    context = key_context(key.tenant, key.key_id)
    plain = await choose(former, key.master_key_id).unwrap(key.wrapped, context)
    values = {
        "rewrapped": await master_key.wrap(plain, context),
        "master_key_id": master_key.master_key_id,
        "tenant": key.tenant,
        "wrapped": key.wrapped,
    }
    await connection.execute(_REPLACE, values)


async def _left(connection: AsyncConnection, master_key_id: str) -> int:
    row = await (await connection.execute(_LEFT, [master_key_id])).fetchone()
    return cast("tuple[Any, ...]", row)[0]
