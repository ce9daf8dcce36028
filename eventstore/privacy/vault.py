"""Seals personal data under a key per tenant, so that destroying the key erases the person from history.

AES-256-GCM with a fresh nonce per seal; what is sealed is bound to its tenant, its key and a context (the
stream it belongs to), so that it cannot be passed off as another's. Keys lie wrapped in `vault.tenant_key`;
the master key that unwraps them is behind a port. An unwrapped key is remembered for a minute at most, and
every five seconds the database is asked whether it still stands: so long a destroyed key may live on in
another process.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.errors import KeyDestroyed
from eventstore.line import Lines
from eventstore.privacy.master_key import choose, key_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from typing import Any, LiteralString, TypeAlias, TypeVar

    from psycopg import AsyncConnection

    from eventstore.privacy.master_key import MasterKey

    Row: TypeAlias = tuple[Any, ...]
    T = TypeVar("T")

VAULT_ROLE: Final = "vault_keeper"
KEY_BITS: Final = 256
REMEMBERED_SECONDS_MAX: Final = 60.0
TRUSTED_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 10.0

_NONCE_BYTES: Final = 12
#: First byte of everything sealed, so that a later format can be told from this one.
_FORMAT: Final = b"\x01"

_FIND: LiteralString = "select key_id, wrapped_key, master_key_id from vault.tenant_key where tenant = %s"
_CREATE: LiteralString = (
    "insert into vault.tenant_key (tenant, key_id, wrapped_key, master_key_id) values (%s, %s, %s, %s)"
    " on conflict (tenant) do nothing"
)
_DESTROY: LiteralString = (
    "insert into vault.tenant_key (tenant, key_id, master_key_id, destroyed_at)"
    " values (%s, %s, %s, clock_timestamp()) on conflict (tenant) do update set wrapped_key = null,"
    " destroyed_at = coalesce(tenant_key.destroyed_at, excluded.destroyed_at)"
    " returning key_id, destroyed_at"
)
_UNDESTROYED: LiteralString = (
    "select tenant from unnest(%s::uuid[]) as named(tenant) where not exists"
    " (select from vault.tenant_key k where k.tenant = named.tenant and k.destroyed_at is not null)"
)


class SealBroken(ValueError):
    """What was sealed was altered, or belongs to another tenant or context."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the key that opens it."""

    key_id: UUID
    ciphertext: bytes


class Destroyed(NamedTuple):
    """A key that is no more, and since when."""

    key_id: UUID
    destroyed_at: datetime


@dataclass(frozen=True, slots=True)
class _Remembered:
    key_id: UUID
    wrapped: bytes
    cipher: AESGCM
    trusted_until: float
    until: float


class Vault:
    """Seals and opens for all tenants of one database."""

    def __init__(
        self,
        conninfo: str,
        master_key: MasterKey,
        *,
        former: Sequence[MasterKey] = (),
        remembered_seconds: float = REMEMBERED_SECONDS_MAX,
        trusted_seconds: float = TRUSTED_SECONDS,
    ) -> None:
        """Take the database and the master keys; it connects when used first.

        New keys are wrapped by `master_key`; `former` ones unwrap what they wrapped, until it is rewrapped.
        """
        self._master_key = master_key
        self._master_keys = (master_key, *former)
        self._remembered_seconds = min(remembered_seconds, REMEMBERED_SECONDS_MAX)
        self._trusted_seconds = trusted_seconds
        self._lines = Lines(conninfo, VAULT_ROLE, "vault")
        self._by_tenant: OrderedDict[UUID, _Remembered] = OrderedDict()
        self._destroyed: set[UUID] = set()

    async def __aenter__(self) -> Self:
        """Give the vault itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Forget the keys and close the connection."""
        self._by_tenant.clear()
        await self._lines.close()

    async def seal(self, tenant: UUID, context: bytes, plaintext: bytes) -> Sealed:
        """Encrypt under the tenant's key, which is made when there is none.

        Errors: KeyDestroyed when the tenant was erased; StoreUnavailable; MasterKeyUnavailable.
        """
        key = self._trusted(tenant) or await self._find(tenant) or await self._create(tenant)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, plaintext, key_context(tenant, key.key_id) + context)
        return Sealed(key.key_id, _FORMAT + nonce + sealed)

    async def open(self, key_id: UUID, tenant: UUID, context: bytes, ciphertext: bytes) -> bytes:
        """Decrypt what `seal` returned for the same tenant and context.

        Errors: KeyDestroyed when the tenant was erased; SealBroken; StoreUnavailable; MasterKeyUnavailable.
        """
        key = self._trusted(tenant) or await self._find(tenant)
        if key is None or key.key_id != key_id:
            raise KeyDestroyed
        nonce, sealed = ciphertext[1 : 1 + _NONCE_BYTES], ciphertext[1 + _NONCE_BYTES :]
        if ciphertext[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
            raise SealBroken
        try:
            return key.cipher.decrypt(nonce, sealed, key_context(tenant, key_id) + context)
        except InvalidTag:
            raise SealBroken from None

    async def destroy(self, tenant: UUID) -> Destroyed:
        """Destroy the tenant's key for ever; no new one is made for it. Again, it answers the first time's.

        Errors: StoreUnavailable.
        """
        self._destroyed.add(tenant)
        self._by_tenant.pop(tenant, None)
        row = await self._row(_DESTROY, [tenant, uuid4(), self._master_key.master_key_id])
        if row is None:
            raise AssertionError("an insert that updates on conflict answers one row")
        return Destroyed(*row)

    async def undestroyed(self, tenants: Sequence[UUID]) -> Sequence[UUID]:
        """Return those of the tenants that have a key, or could get one.

        Errors: StoreUnavailable.
        """

        async def _read(connection: AsyncConnection) -> Sequence[UUID]:
            rows = await connection.execute(_UNDESTROYED, [list(tenants)])
            return [tenant for (tenant,) in await rows.fetchall()]

        return await self._call(_read)

    def _trusted(self, tenant: UUID) -> _Remembered | None:
        if tenant in self._destroyed:
            raise KeyDestroyed
        found = self._by_tenant.get(tenant)
        if found is None or found.trusted_until <= asyncio.get_running_loop().time():
            return None
        return found

    async def _create(self, tenant: UUID) -> _Remembered:
        key_id = uuid4()
        wrapped = await self._master_key.wrap(AESGCM.generate_key(KEY_BITS), key_context(tenant, key_id))
        values = [tenant, key_id, wrapped, self._master_key.master_key_id]
        await self._call(lambda connection: connection.execute(_CREATE, values))
        found = await self._find(tenant)
        if found is None:
            raise KeyDestroyed
        return found

    async def _find(self, tenant: UUID) -> _Remembered | None:
        now = asyncio.get_running_loop().time()
        row = await self._row(_FIND, [tenant])
        self._forget_old(now)
        if row is None:
            return None
        key_id, wrapped, master_key_id = row
        if wrapped is None:
            self._by_tenant.pop(tenant, None)
            raise KeyDestroyed
        found = self._by_tenant.get(tenant)
        trusted_until = now + min(self._trusted_seconds, self._remembered_seconds)
        if found is not None and found.wrapped == wrapped:
            self._by_tenant[tenant] = replace(found, trusted_until=min(trusted_until, found.until))
            return self._by_tenant[tenant]
        master_key = choose(self._master_keys, master_key_id)
        key = await master_key.unwrap(bytes(wrapped), key_context(tenant, key_id))
        until = now + self._remembered_seconds
        return self._remember(tenant, _Remembered(key_id, bytes(wrapped), AESGCM(key), trusted_until, until))

    def _remember(self, tenant: UUID, key: _Remembered) -> _Remembered:
        if tenant in self._destroyed:
            raise KeyDestroyed
        self._by_tenant.pop(tenant, None)
        self._by_tenant[tenant] = key
        return key

    def _forget_old(self, now: float) -> None:
        while self._by_tenant and next(iter(self._by_tenant.values())).until <= now:
            self._by_tenant.popitem(last=False)

    async def _row(self, query: LiteralString, values: Sequence[object]) -> Row | None:
        async def _read(connection: AsyncConnection) -> Row | None:
            return await (await connection.execute(query, values)).fetchone()

        return await self._call(_read)

    async def _call(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self._lines.call(work, PATIENCE_SECONDS)
