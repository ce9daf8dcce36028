"""The key that wraps tenants' keys: a port, and an adapter that keeps it in a local file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class MasterKey(Protocol):
    """Wraps and unwraps keys; it may live in another machine."""

    @property
    def master_key_id(self) -> str:
        """Which key it is, stored beside what it wrapped."""
        ...

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the key encrypted, bound to a context."""
        ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key that was wrapped in the same context.

        Errors: cryptography.exceptions.InvalidTag when it was altered or the context differs.
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
        text = await asyncio.to_thread(_read_or_create, path)
        return cls(bytes.fromhex(text.strip()))

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the key encrypted, bound to a context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key that was wrapped in the same context; see MasterKey."""
        return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)


def _read_or_create(path: Path) -> str:
    """Several processes may come here at once: the key is written aside, and the first link wins."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        fresh.touch(mode=0o600, exist_ok=False)
        fresh.write_text(os.urandom(_KEY_BYTES).hex() + "\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text(encoding="ascii")
