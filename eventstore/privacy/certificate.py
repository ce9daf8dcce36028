"""A certificate of erasure: which key was destroyed, what it had sealed, and who says so. Checked offline.

What is signed is the 30 bytes `eventstore erasure certificate` and a zero, then the document: JSON in UTF-8,
to the byte as it is kept. In a file the three parts are one JSON object; the document's bytes are in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMAT: Final = b"eventstore erasure certificate\x00"
#: What a certificate cannot do without.
_MEMBERS: Final = frozenset(
    {"tenant", "log_id", "lane", "key_id", "destroyed_at", "recorded", "head", "sealed_positions"}
)


class UnreadableCertificate(ValueError):
    """This is no certificate of erasure."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed document."""

    document: bytes
    public_key: bytes
    signature: bytes

    @property
    def content(self) -> Mapping[str, Any]:
        """What the document says.

        Errors: UnreadableCertificate.
        """
        try:
            content = json.loads(self.document)
        except ValueError as error:
            raise UnreadableCertificate from error
        if not isinstance(content, dict) or not content.keys() >= _MEMBERS:  # pyright: ignore[reportUnknownMemberType]
            raise UnreadableCertificate
        return content  # pyright: ignore[reportUnknownVariableType]

    def is_signed_by(self, public_key: bytes) -> bool:
        """Tell whether the document is as it was when this key signed it."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, statement(self.document))
        except (InvalidSignature, ValueError):
            return False
        return self.public_key == public_key

    def fields(self) -> Mapping[str, bytes]:
        """Return the parts by name."""
        return asdict(self)


def statement(document: bytes) -> bytes:
    """Return the bytes that are signed: no log seal and no other signed thing begins like that."""
    return _FORMAT + document


def to_text(certificate: Certificate) -> str:
    """Return a certificate as it is handed out."""
    fields = {
        "document": base64.b64encode(certificate.document).decode(),
        "public_key": certificate.public_key.hex(),
        "signature": certificate.signature.hex(),
    }
    return json.dumps(fields, indent=1) + "\n"


def of_text(text: str) -> Certificate:
    """Read a certificate that was handed out.

    Errors: UnreadableCertificate.
    """
    try:
        fields = json.loads(text)
        document = base64.b64decode(fields["document"], validate=True)
        return Certificate(document, bytes.fromhex(fields["public_key"]), bytes.fromhex(fields["signature"]))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise UnreadableCertificate from error
