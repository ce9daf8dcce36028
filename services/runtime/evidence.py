"""Proof pictures: encrypted files that only the customer's key opens.

A file holds the key's id and the ciphertext; the proof's id is authenticated with it, so that files cannot
be swapped. Ids are ours and no text of anybody's ever becomes part of a path.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

from eventstore.privacy.vault import SealBroken
from services.domain.errors import ProofNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAGIC: Final = b"DBP1"
_HEADER_BYTES: Final = len(_MAGIC) + 16
_TYPE_CHARACTERS_MAX: Final = 100


class SealedBytes(Protocol):
    """What a vault made of plain bytes, and the key that it took."""

    @property
    def key_id(self) -> UUID:
        """The key."""
        ...

    @property
    def ciphertext(self) -> bytes:
        """Nonce, ciphertext and tag."""
        ...


class Sealing(Protocol):
    """What seals and opens: the event store's vault, with a key per customer."""

    async def seal(self, tenant: UUID, context: bytes, plaintext: bytes) -> SealedBytes:
        """Seal under the tenant's key, bound to `context`. Errors: KeyDestroyed."""
        ...

    async def open(self, key_id: UUID, tenant: UUID, context: bytes, ciphertext: bytes) -> bytes:
        """Open what `seal` sealed. Errors: KeyDestroyed, SealBroken."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """A stored picture: its id, and the SHA-256 of the picture itself."""

    proof_id: UUID
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, open."""

    content_type: str
    content: bytes


class EvidenceStore(Protocol):
    """Keeps pictures."""

    async def put(self, customer_id: UUID, content: bytes, content_type: str) -> Proof:
        """Seal and keep a picture. Errors: KeyDestroyed; OSError."""
        ...

    async def get(self, customer_id: UUID, proof_id: UUID) -> Picture:
        """Return a picture of this customer's. Errors: ProofNotFound; KeyDestroyed."""
        ...

    async def delete(self, proof_ids: Sequence[UUID]) -> None:
        """Delete pictures; one that is not there is no error. Errors: OSError."""
        ...


class FileEvidence:
    """Keeps pictures as files in one folder."""

    def __init__(self, folder: Path, sealing: Sealing) -> None:
        self._folder = folder
        self._sealing = sealing

    async def put(self, customer_id: UUID, content: bytes, content_type: str) -> Proof:
        """Seal and keep a picture; it is there whole, or not at all.

        Errors: KeyDestroyed when the customer was erased; OSError when the disk refuses.
        """
        proof_id = uuid4()
        described = content_type[:_TYPE_CHARACTERS_MAX].encode("ascii", "replace")
        plain = bytes([len(described)]) + described + content
        sealed = await self._sealing.seal(tenant=customer_id, context=proof_id.bytes, plaintext=plain)
        await asyncio.to_thread(
            _write, self._path(proof_id), _MAGIC + sealed.key_id.bytes + sealed.ciphertext
        )
        return Proof(proof_id, hashlib.sha256(content).digest())

    async def get(self, customer_id: UUID, proof_id: UUID) -> Picture:
        """Return a picture of this customer's.

        Errors: ProofNotFound; KeyDestroyed when the customer was erased.
        """
        try:
            raw = await asyncio.to_thread(self._path(proof_id).read_bytes)
        except FileNotFoundError:
            raise ProofNotFound(proof=str(proof_id)) from None
        if raw[: len(_MAGIC)] != _MAGIC:
            raise ProofNotFound(proof=str(proof_id))
        key_id = UUID(bytes=raw[len(_MAGIC) : _HEADER_BYTES])
        try:
            plain = await self._sealing.open(
                key_id=key_id, tenant=customer_id, context=proof_id.bytes, ciphertext=raw[_HEADER_BYTES:]
            )
        except SealBroken:
            # Another customer's, or a damaged file: for the caller there is no such proof.
            raise ProofNotFound(proof=str(proof_id)) from None
        type_end = 1 + plain[0]
        return Picture(plain[1:type_end].decode("ascii"), plain[type_end:])

    async def delete(self, proof_ids: Sequence[UUID]) -> None:
        """Delete pictures; one that is not there is no error.

        Errors: OSError when the disk refuses.
        """
        await asyncio.to_thread(_delete, [self._path(each) for each in proof_ids])

    def _path(self, proof_id: UUID) -> Path:
        return self._folder / proof_id.hex[:2] / f"{proof_id.hex}.proof"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        path.with_suffix(".unfinished").unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        if folder.exists():
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
