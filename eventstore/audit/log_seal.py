"""A log seal: a signed statement that a range of a lane held these events and no others.

What is signed is, in this order and without gaps, integers big-endian and signed: the 23 bytes `eventstore
log seal v1` and a zero; log id (16); lane (2); number (8); first position (8); last position (8); time, as
microseconds since 2000-01-01 UTC (8); Merkle root over the leaves of the events (32); hash of the chain at
the last position (32); hash of the seal before, zeros for the first (32); public key (32). The signature is
Ed25519's, the hash of a seal is SHA-256 over the signed bytes and the signature. `es.log_seal_hash_v1`
computes the same.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from eventstore.audit.chain import microseconds

#: What the first log seal of a lane carries as the hash of the one before.
NO_SEAL: Final = bytes(32)

_FORMAT: Final = b"eventstore log seal v1\x00"
_DIGEST_BYTES: Final = 32
_FIXED: Final = struct.Struct(">16shqqqq")


class UnreadableLogSeal(ValueError):
    """This is no log seal."""


@dataclass(frozen=True, slots=True)
class LogSeal:
    """A signed statement over a range of a lane."""

    log_id: UUID
    lane: int
    number: int
    from_position: int
    to_position: int
    sealed_at: datetime
    root: bytes
    end_hash: bytes
    previous_hash: bytes
    public_key: bytes
    signature: bytes = b""

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        fixed = _FIXED.pack(
            self.log_id.bytes,
            self.lane,
            self.number,
            self.from_position,
            self.to_position,
            microseconds(self.sealed_at),
        )
        return _FORMAT + fixed + self.root + self.end_hash + self.previous_hash + self.public_key

    @property
    def hash(self) -> bytes:
        """What the next log seal carries."""
        return hashlib.sha256(self.statement + self.signature).digest()

    @property
    def key_id(self) -> str:
        """A short name of the key that signed."""
        return key_id(self.public_key)

    @property
    def events_count(self) -> int:
        """How many events it covers."""
        return self.to_position - self.from_position + 1

    def is_well_formed(self) -> bool:
        """Return whether every field has its size: else bytes could move from one field to the next."""
        digests = (self.root, self.end_hash, self.previous_hash, self.public_key)
        return {len(each) for each in digests} == {_DIGEST_BYTES} and bool(self.statement)

    def is_signed(self) -> bool:
        """Return whether the signature is that of the key that the seal names."""
        if not self.is_well_formed():
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(self.signature, self.statement)
        except (InvalidSignature, ValueError):
            return False
        return True


def key_id(public_key: bytes) -> str:
    """Return a short name of a public key."""
    return "ed25519:" + hashlib.sha256(public_key).hexdigest()[:16]


def to_text(seal: LogSeal) -> str:
    """Return a log seal as it lies in archives and proofs: one line of JSON, bytes as hexadecimal digits."""
    fields = {
        "log_id": str(seal.log_id),
        "lane": seal.lane,
        "number": seal.number,
        "from_position": seal.from_position,
        "to_position": seal.to_position,
        "sealed_at": seal.sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "root": seal.root.hex(),
        "end_hash": seal.end_hash.hex(),
        "previous_hash": seal.previous_hash.hex(),
        "public_key": seal.public_key.hex(),
        "signature": seal.signature.hex(),
    }
    return json.dumps(fields) + "\n"


def of_text(text: str) -> LogSeal:
    """Read a log seal from its text.

    Errors: UnreadableLogSeal.
    """
    try:
        fields = json.loads(text)
        seal = LogSeal(
            log_id=UUID(str(fields["log_id"])),
            lane=int(fields["lane"]),
            number=int(fields["number"]),
            from_position=int(fields["from_position"]),
            to_position=int(fields["to_position"]),
            sealed_at=datetime.fromisoformat(fields["sealed_at"]).astimezone(UTC),
            root=bytes.fromhex(fields["root"]),
            end_hash=bytes.fromhex(fields["end_hash"]),
            previous_hash=bytes.fromhex(fields["previous_hash"]),
            public_key=bytes.fromhex(fields["public_key"]),
            signature=bytes.fromhex(fields["signature"]),
        )
        well_formed = seal.is_well_formed()
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise UnreadableLogSeal("this is no log seal") from error
    if not well_formed:
        raise UnreadableLogSeal("this is no log seal")
    return seal
