"""The form of an API key, `dbk_<id>_<secret>`: 8 characters to find it by, 256 bits to prove it.

Only the SHA-256 of the secret is stored: 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "dbk_"
ID_CHARACTERS: Final = 8
SECRET_CHARACTERS: Final = 43

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(rf"dbk_([0-9A-Za-z]{{{ID_CHARACTERS}}})_([0-9A-Za-z]{{{SECRET_CHARACTERS}}})")
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in two halves; printing it shows the id only."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> ApiKey:
        """Return a fresh key."""
        return cls(
            _base62(secrets.randbits(47), ID_CHARACTERS), _base62(secrets.randbits(256), SECRET_CHARACTERS)
        )

    @classmethod
    def parse(cls, text: str) -> ApiKey | None:
        """Return the key that the text spells; None when it has another form."""
        match = _FORM.fullmatch(text)
        return cls(*match.groups()) if match else None

    def text(self) -> str:
        """Return the whole key, to be shown once."""
        return f"{PREFIX}{self.key_id}_{self.secret}"

    def secret_hash(self) -> bytes:
        """Return the SHA-256 of the secret, which is all that is stored."""
        return hashlib.sha256(self.secret.encode()).digest()


def bearer_text(authorization: str | bytes | None) -> str:
    """Return what follows `Bearer ` in an authorization header; empty when it is something else."""
    if not isinstance(authorization, str) or not authorization.lower().startswith(_BEARER):
        return ""
    return authorization[len(_BEARER) :].strip()


def _base62(number: int, length: int) -> str:
    characters: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
