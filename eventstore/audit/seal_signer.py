"""The key that signs log seals: a port, and an adapter that keeps it in a local file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eventstore.privacy.key_file import read_or_create_key

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC_KEY_BYTES: Final = 32


class SealSigner(Protocol):
    """Signs log seals with an Ed25519 key; it may live in another machine."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes by which everybody can check."""
        ...

    async def sign(self, statement: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        ...


class LocalSealSigner:
    """A signing key kept as hexadecimal digits in a file that only its owner may read."""

    def __init__(self, key: bytes) -> None:
        """Take the private key, 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    async def of_file(cls, path: Path) -> LocalSealSigner:
        """Read the key from a file, which is made with a fresh key when there is none.

        Errors: ValueError when the file holds no key; OSError.
        """
        return cls(await asyncio.to_thread(read_or_create_key, path))

    async def sign(self, statement: bytes) -> bytes:
        """Return the signature; see SealSigner."""
        return self._key.sign(statement)


def public_key_of_text(text: str) -> bytes:
    """Return a public key from its hexadecimal digits.

    Errors: ValueError.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key is {PUBLIC_KEY_BYTES * 2} hexadecimal digits")
    return key
