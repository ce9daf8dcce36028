"""API keys: made, checked, listed, revoked.

A key that was checked is trusted for at most five seconds without asking again, and so is the news that
there is none: a revoked key is dead everywhere within that time, and guessing costs us little.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import class_row

from services.runtime.api_key import ApiKey
from services.runtime.principal import Kind, Principal
from services.runtime.tables.pool import database_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from services.runtime.clock import Clock

TRUST_SECONDS: Final = 5.0
LISTED_MAX: Final = 100
_REMEMBERED_MAX: Final = 10_000
_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_NO_HASH: Final = b"\x00" * 32

_COLUMNS: Final[LiteralString] = (
    "key_id, customer_id, scopes, secret_hash, display_name, created_at, expires_at, revoked_at, last_used_at"
)
# The only thing put into these texts is the list of columns above.
_CREATE: Final[LiteralString] = (
    f"insert into runtime.api_key ({_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, null, null)"  # noqa: S608
    f" returning {_COLUMNS}"
)
_FIND: Final[LiteralString] = f"select {_COLUMNS} from runtime.api_key where key_id = %s"  # noqa: S608
_LIST: Final[LiteralString] = (
    f"select {_COLUMNS} from runtime.api_key where customer_id = %s"  # noqa: S608
    " order by created_at desc, key_id limit %s"
)
_REVOKE: Final[LiteralString] = (
    "update runtime.api_key set revoked_at = coalesce(revoked_at, %s)"  # noqa: S608
    f" where customer_id = %s and key_id = %s returning {_COLUMNS}"
)
_END_ALL: Final[LiteralString] = (
    "update runtime.api_key set revoked_at = coalesce(revoked_at, %s), display_name = ''"  # noqa: S608
    f" where customer_id = %s returning {_COLUMNS}"
)
_NOTE_USE: Final[LiteralString] = (
    "update runtime.api_key set last_used_at = %s"
    " where key_id = %s and (last_used_at is null or last_used_at < %s)"
)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as stored; printing it shows no hash."""

    key_id: str
    customer_id: UUID
    scopes: Sequence[str]
    secret_hash: bytes = field(repr=False)
    display_name: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Tell whether it opens anything at this moment."""
        return self.revoked_at is None and now < self.expires_at

    def principal(self) -> Principal:
        """Return whose key it is."""
        if Kind.STAFF.value in self.scopes:
            return Principal(Kind.STAFF, None, self.key_id)
        return Principal(Kind.CUSTOMER, self.customer_id, self.key_id)


class ApiKeyTable:
    """The keys of all customers."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[float, StoredKey | None]] = OrderedDict()

    async def create(
        self,
        customer_id: UUID,
        *,
        display_name: str,
        expires_at: datetime,
        scopes: Sequence[str] = (Kind.CUSTOMER.value,),
    ) -> tuple[StoredKey, str]:
        """Make a key; return it with its whole text, which is not to be had again.

        Errors: StoreDown.
        """
        key = ApiKey.generate()
        values = (customer_id, list(scopes), key.secret_hash(), display_name, self._clock.now(), expires_at)
        (stored,) = await self._rows(_CREATE, key.key_id, *values)
        return stored, key.text()

    async def verify(self, key: ApiKey) -> Principal | None:
        """Return whose key it is; None when it is unknown, wrong, expired or revoked.

        Errors: StoreDown.
        """
        stored = await self._recall(key.key_id)
        # An unknown key is compared too, so that the answer takes as long as for a wrong one.
        expected = _NO_HASH if stored is None else stored.secret_hash
        matches = hmac.compare_digest(expected, key.secret_hash())
        if stored is None or not matches or not stored.is_good(self._clock.now()):
            return None
        await self._note_use(stored)
        return stored.principal()

    async def list(self, customer_id: UUID) -> Sequence[StoredKey]:
        """Return a customer's keys, newest first, at most 100.

        Errors: StoreDown.
        """
        return await self._rows(_LIST, customer_id, LISTED_MAX)

    async def revoke(self, customer_id: UUID, key_id: str) -> StoredKey | None:
        """End a key and return it; None when the customer has no such key. The first time counts.

        Errors: StoreDown.
        """
        found = await self._rows(_REVOKE, self._clock.now(), customer_id, key_id)
        self._remembered.pop(key_id, None)
        return found[0] if found else None

    async def end_all(self, customer_id: UUID) -> int:
        """End all keys of a customer, forget what they were called, and return how many there are.

        Errors: StoreDown.
        """
        found = await self._rows(_END_ALL, self._clock.now(), customer_id)
        for each in found:
            self._remembered.pop(each.key_id, None)
        return len(found)

    async def _recall(self, key_id: str) -> StoredKey | None:
        now = self._clock.monotonic()
        learned_at, stored = self._remembered.get(key_id, (float("-inf"), None))
        if now - learned_at < TRUST_SECONDS:
            return stored
        found = await self._rows(_FIND, key_id)
        stored = found[0] if found else None
        self._remember(key_id, now, stored)
        return stored

    async def _note_use(self, stored: StoredKey) -> None:
        now = self._clock.now()
        if stored.last_used_at is not None and now - stored.last_used_at < _USE_NOTED_EVERY:
            return
        learned_at, _ = self._remembered.get(stored.key_id, (float("-inf"), None))
        self._remember(stored.key_id, learned_at, replace(stored, last_used_at=now))
        with database_errors():
            async with self._pool.connection() as connection:
                await connection.execute(_NOTE_USE, [now, stored.key_id, now - _USE_NOTED_EVERY])

    def _remember(self, key_id: str, now: float, stored: StoredKey | None) -> None:
        self._remembered[key_id] = (now, stored)
        self._remembered.move_to_end(key_id)
        if len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    async def _rows(self, statement: LiteralString, *values: Any) -> Sequence[StoredKey]:
        with database_errors():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=class_row(StoredKey))
                await cursor.execute(statement, values)
                return await cursor.fetchall()
