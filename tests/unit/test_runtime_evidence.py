"""Proof pictures come back as they went, to their owner only, and lie on the disk sealed."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.privacy.vault import SealBroken
from services.domain.errors import ProofNotFound
from services.runtime.evidence import FileEvidence

if TYPE_CHECKING:
    from pathlib import Path

CUSTOMER = uuid4()
PICTURE = b"\xff\xd8 a picture" * 1_000


@dataclass(frozen=True)
class Sealed:
    """What the vault made."""

    key_id: UUID
    ciphertext: bytes


class OneKeyPerTenant:
    """A vault in memory."""

    def __init__(self) -> None:
        self._keys: dict[UUID, tuple[UUID, AESGCM]] = {}

    async def seal(self, tenant: UUID, context: bytes, plaintext: bytes) -> Sealed:
        """Seal under the tenant's key."""
        key_id, cipher = self._keys.setdefault(tenant, (uuid4(), AESGCM(secrets.token_bytes(32))))
        nonce = secrets.token_bytes(12)
        return Sealed(key_id, nonce + cipher.encrypt(nonce, plaintext, context))

    async def open(self, key_id: UUID, tenant: UUID, context: bytes, ciphertext: bytes) -> bytes:
        """Open with the tenant's key."""
        own_id, cipher = self._keys.get(tenant, (key_id, AESGCM(b"0" * 32)))
        assert own_id == key_id or tenant not in self._keys
        try:
            return cipher.decrypt(ciphertext[:12], ciphertext[12:], context)
        except InvalidTag as error:
            raise SealBroken from error


@pytest.fixture
def evidence(tmp_path: Path) -> FileEvidence:
    return FileEvidence(tmp_path / "proofs", OneKeyPerTenant())


def _files(folder: Path) -> dict[str, Path]:
    return {path.name.removesuffix(".proof"): path for path in folder.rglob("*") if path.is_file()}


async def test_a_picture_comes_back_as_it_went(evidence: FileEvidence) -> None:
    proof = await evidence.put(CUSTOMER, PICTURE, "image/jpeg")
    picture = await evidence.get(CUSTOMER, proof.proof_id)
    assert (picture.content, picture.content_type) == (PICTURE, "image/jpeg")
    assert proof.sha256 == hashlib.sha256(PICTURE).digest()


async def test_the_disk_holds_one_sealed_file_and_nothing_unfinished(
    evidence: FileEvidence, tmp_path: Path
) -> None:
    proof = await evidence.put(CUSTOMER, PICTURE, "image/jpeg")
    ((name, path),) = _files(tmp_path).items()
    assert name == proof.proof_id.hex
    assert b"a picture" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


async def test_another_customers_picture_does_not_open(evidence: FileEvidence) -> None:
    proof = await evidence.put(CUSTOMER, PICTURE, "image/jpeg")
    with pytest.raises(ProofNotFound):
        await evidence.get(uuid4(), proof.proof_id)


async def test_swapped_files_do_not_open(evidence: FileEvidence, tmp_path: Path) -> None:
    one, two = [await evidence.put(CUSTOMER, PICTURE + bytes([n]), "image/jpeg") for n in range(2)]
    paths = _files(tmp_path)
    paths[one.proof_id.hex].write_bytes(paths[two.proof_id.hex].read_bytes())
    with pytest.raises(ProofNotFound):
        await evidence.get(CUSTOMER, one.proof_id)


async def test_a_picture_that_is_not_there_is_not_found(evidence: FileEvidence, tmp_path: Path) -> None:
    with pytest.raises(ProofNotFound):
        await evidence.get(CUSTOMER, uuid4())
    proof = await evidence.put(CUSTOMER, b"", "image/png")
    _files(tmp_path)[proof.proof_id.hex].write_bytes(b"")
    with pytest.raises(ProofNotFound):
        await evidence.get(CUSTOMER, proof.proof_id)
