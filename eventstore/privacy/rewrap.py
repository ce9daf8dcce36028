"""Changes the master key: wraps every tenant's key anew, without opening anything that they sealed.

What is rewrapped says so in its row, so a run that was stopped goes on where it was, and processes that have
both master keys work all the while. A key that is destroyed meanwhile stays destroyed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstore.line import Lines
from eventstore.privacy.master_key import choose, key_context
from eventstore.privacy.vault import PATIENCE_SECONDS, VAULT_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import LiteralString, TypeAlias
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.privacy.master_key import MasterKey

    Row: TypeAlias = tuple[Any, ...]

KEYS_PER_PAGE: Final = 64

_LEFT: LiteralString = (
    "select count(*) from vault.tenant_key"
    " where wrapped_key is not null and master_key_id <> %(master_key_id)s"
)
_PAGE: LiteralString = (
    "select tenant, key_id, wrapped_key, master_key_id from vault.tenant_key"
    " where wrapped_key is not null and master_key_id <> %(master_key_id)s order by tenant limit %(limit)s"
)
_REPLACE: LiteralString = (
    "update vault.tenant_key set wrapped_key = %(rewrapped)s, master_key_id = %(master_key_id)s"
    " where tenant = %(tenant)s and wrapped_key = %(wrapped)s"
    " returning tenant"
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
    Errors: MasterKeyMissing; MasterKeyUnavailable; StoreUnavailable; InvalidTag when a row was altered.
    """
    lines = Lines(conninfo, VAULT_ROLE, "rewrap")
    new, done = master_key.master_key_id, 0
    try:
        while page := await _page(lines, new):
            results = await asyncio.gather(
                *(_rewrap(lines, each, master_key, former) for each in page), return_exceptions=True
            )
            for error in filter(None, results):
                raise error
            done += len(page)
            [[left]] = await _rows(lines, _LEFT, {"master_key_id": new})
            report(done, left)
    finally:
        await lines.close()
    return done


async def _page(lines: Lines, master_key_id: str) -> Sequence[_WrappedKey]:
    rows = await _rows(lines, _PAGE, {"master_key_id": master_key_id, "limit": KEYS_PER_PAGE})
    return [_WrappedKey(row[0], row[1], bytes(row[2]), row[3]) for row in rows]


async def _rewrap(lines: Lines, key: _WrappedKey, master_key: MasterKey, former: Sequence[MasterKey]) -> None:
    context = key_context(key.tenant, key.key_id)
    plain = await choose(former, key.master_key_id).unwrap(key.wrapped, context)
    values = {
        "tenant": key.tenant,
        "wrapped": key.wrapped,
        "rewrapped": await master_key.wrap(plain, context),
        "master_key_id": master_key.master_key_id,
    }
    await _rows(lines, _REPLACE, values)


async def _rows(lines: Lines, query: LiteralString, values: Mapping[str, object]) -> Sequence[Row]:
    async def _read(connection: AsyncConnection) -> Sequence[Row]:
        return await (await connection.execute(query, values)).fetchall()

    return await lines.call(_read, PATIENCE_SECONDS)
