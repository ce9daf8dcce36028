"""Seals personal data under a key per tenant, so that destroying the key erases the person from history.

AES-256-GCM with a fresh nonce per seal; what is sealed is bound to its tenant, its key and a context (the
stream it belongs to), so that it cannot be passed off as another's. Keys lie wrapped in `vault.tenant_key`;
the master key that unwraps them is behind a port. Unwrapped keys are remembered for at most a minute: so
long a destroyed key may live on in another process.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.errors import KeyDestroyed
from eventstore.line import Lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, LiteralString, TypeAlias

    from psycopg import AsyncConnection

    from eventstore.master_key import MasterKey

    Row: TypeAlias = tuple[Any, ...]

VAULT_ROLE: Final = "vault_keeper"
KEY_BITS: Final = 256
REMEMBERED_SECONDS_MAX: Final = 60.0
PATIENCE_SECONDS: Final = 10.0

_NONCE_BYTES: Final = 12
#: First byte of everything sealed, so that a later format can be told from this one.
_FORMAT: Final = b"\x01"

_BY_TENANT: LiteralString = "select key_id, wrapped_key from vault.tenant_key where tenant = %s"
_BY_KEY: LiteralString = "select key_id, wrapped_key from vault.tenant_key where tenant = %s and key_id = %s"
_CREATE: LiteralString = (
    "insert into vault.tenant_key (tenant, key_id, wrapped_key, master_key_id) values (%s, %s, %s, %s)"
    " on conflict (tenant) do nothing"
)
_DESTROY: LiteralString = (
    "insert into vault.tenant_key (tenant, key_id, master_key_id, destroyed_at)"
    " values (%s, %s, %s, clock_timestamp()) on conflict (tenant) do update set wrapped_key = null,"
    " destroyed_at = coalesce(tenant_key.destroyed_at, excluded.destroyed_at)"
)


class SealBroken(ValueError):
    """What was sealed was altered, or belongs to another tenant or context."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the key that opens it."""

    key_id: UUID
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class _Remembered:
    key_id: UUID
    cipher: AESGCM
    until: float


class Vault:
    """Seals and opens for all tenants of one database."""

    def __init__(
        self, conninfo: str, master_key: MasterKey, *, remembered_seconds: float = REMEMBERED_SECONDS_MAX
    ) -> None:
        """Take the database and the master key; it connects when used first."""
        self._master_key = master_key
        self._remembered_seconds = min(remembered_seconds, REMEMBERED_SECONDS_MAX)
        self._lines = Lines(conninfo, VAULT_ROLE, "vault")
        self._by_tenant: dict[UUID, _Remembered] = {}
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

        Errors: KeyDestroyed when the tenant was erased; StoreUnavailable.
        """
        key = self._remembered(tenant) or await self._fetch_or_create(tenant)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, plaintext, _bound_to(tenant, key.key_id, context))
        return Sealed(key.key_id, _FORMAT + nonce + sealed)

    async def open(self, key_id: UUID, tenant: UUID, context: bytes, ciphertext: bytes) -> bytes:
        """Decrypt what `seal` returned for the same tenant and context.

        Errors: KeyDestroyed when the tenant was erased; SealBroken; StoreUnavailable.
        """
        key = self._remembered(tenant)
        if key is None or key.key_id != key_id:
            key = await self._fetch(tenant, _BY_KEY, [tenant, key_id])
        if key is None:
            raise KeyDestroyed
        nonce, sealed = ciphertext[1 : 1 + _NONCE_BYTES], ciphertext[1 + _NONCE_BYTES :]
        if ciphertext[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
            raise SealBroken
        try:
            return key.cipher.decrypt(nonce, sealed, _bound_to(tenant, key_id, context))
        except InvalidTag:
            raise SealBroken from None

    async def destroy(self, tenant: UUID) -> None:
        """Destroy the tenant's key for ever; no new one is made for it. Twice is no error.

        Errors: StoreUnavailable.
        """
        self._destroyed.add(tenant)
        values = [tenant, uuid4(), self._master_key.master_key_id]
        await self._call(lambda connection: connection.execute(_DESTROY, values))
        self._by_tenant.pop(tenant, None)

    def _remembered(self, tenant: UUID) -> _Remembered | None:
        if tenant in self._destroyed:
            self._by_tenant.pop(tenant, None)
            raise KeyDestroyed
        found = self._by_tenant.get(tenant)
        if found is not None and found.until <= asyncio.get_running_loop().time():
            del self._by_tenant[tenant]
            return None
        return found

    async def _fetch_or_create(self, tenant: UUID) -> _Remembered:
        found = await self._fetch(tenant, _BY_TENANT, [tenant])
        if found is None:
            key_id = uuid4()
            wrapped = await self._master_key.wrap(
                AESGCM.generate_key(KEY_BITS), _bound_to(tenant, key_id, b"")
            )
            values = [tenant, key_id, wrapped, self._master_key.master_key_id]
            await self._call(lambda connection: connection.execute(_CREATE, values))
            found = await self._fetch(tenant, _BY_TENANT, [tenant])
        if found is None:
            raise KeyDestroyed
        return found

    async def _fetch(self, tenant: UUID, query: LiteralString, wanted: list[UUID]) -> _Remembered | None:
        async def read(connection: AsyncConnection) -> Row | None:
            return await (await connection.execute(query, wanted)).fetchone()

        until = asyncio.get_running_loop().time() + self._remembered_seconds
        row = await self._call(read)
        if row is None:
            return None
        key_id, wrapped = row
        if wrapped is None:
            raise KeyDestroyed
        key = await self._master_key.unwrap(bytes(wrapped), _bound_to(tenant, key_id, b""))
        self._by_tenant[tenant] = _Remembered(key_id, AESGCM(key), until)
        return self._by_tenant[tenant]

    async def _call(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        return await self._lines.call(work, PATIENCE_SECONDS)


def _bound_to(tenant: UUID, key_id: UUID, context: bytes) -> bytes:
    return tenant.bytes + key_id.bytes + context
