"""The key that wraps tenants' keys: a port, and an adapter that keeps it in a local file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.errors import MasterKeyMissing
from eventstore.privacy.key_file import read_or_create_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from uuid import UUID

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class MasterKey(Protocol):
    """Wraps and unwraps keys; it may live in another machine."""

    @property
    def master_key_id(self) -> str:
        """Which key it is, stored beside what it wrapped."""
        ...

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the key encrypted, bound to a context.

        Errors: MasterKeyUnavailable.
        """
        ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key that was wrapped in the same context.

        Errors: cryptography.exceptions.InvalidTag when it was altered or the context differs;
        MasterKeyUnavailable.
        """
        ...


class LocalMasterKey:
    """A master key of 32 bytes, kept as hexadecimal digits in a file that only its owner may read."""

    def __init__(self, key: bytes) -> None:
        """Take the key itself."""
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a master key has {_KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        self.master_key_id = "local:" + hashlib.sha256(b"master key id" + key).hexdigest()[:16]

    @classmethod
    async def of_file(cls, path: Path) -> LocalMasterKey:
        """Read the key from a file, which is made with a fresh key when there is none.

        Errors: ValueError when the file holds no key; OSError.
        """
        return cls(await asyncio.to_thread(read_or_create_key, path))

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the key encrypted, bound to a context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key that was wrapped in the same context; see MasterKey."""
        return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)


def choose(master_keys: Iterable[MasterKey], master_key_id: str) -> MasterKey:
    """Return the master key of this id.

    Errors: MasterKeyMissing.
    """
    for each in master_keys:
        if each.master_key_id == master_key_id:
            return each
    raise MasterKeyMissing(master_key_id)


def key_context(tenant: UUID, key_id: UUID) -> bytes:
    """Return what a tenant's wrapped key is bound to, so that it passes for no other's."""
    return tenant.bytes + key_id.bytes
