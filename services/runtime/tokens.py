"""Opaque tokens: positions in the log and places in a list, sealed so that nobody can make or alter one.

AES-GCM with the token's purpose, owner and query as associated data: a token that was tampered with,
belongs to somebody else, or is used with another query simply does not open. What is inside is free to
change, for instance when the log gets more lanes.

Source: AIP-158 ("base64 alone is not sufficient").
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eventstore.types import Position
from services.domain.errors import FieldViolation, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from services.runtime.clock import Clock

PAGE_TOKEN_LIFE_SECONDS: Final = 3 * 24 * 3600

CursorPart = str | int | None

_NONCE_BYTES = 12
_TOKEN_CHARACTERS_MAX = 2_048
_POSITION = struct.Struct(">iq")
_NOT_PART_OF_THE_QUERY = ("page_token", "page_size", "min_position")


class TokenSealer:
    """Seals and opens tokens with a key that all replicas of a service share."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"directorybolt tokens v1").derive(secret))
        self._clock = clock

    def position_token(self, *positions: Position) -> str:
        """Return the token of a place in the log, one position per lane."""
        plain = b"".join(_POSITION.pack(each.lane, each.number) for each in positions)
        return self._seal(plain, b"position")

    def read_position(self, token: str, *, field: str) -> tuple[Position, ...]:
        """Return the positions of a token, one per lane; none for an empty token.

        Errors: InvalidArgument naming `field` when the token is not one of ours.
        """
        if not token:
            return ()
        plain = self._open(token, b"position", field)
        return tuple(Position(lane, number) for lane, number in _POSITION.iter_unpack(plain))

    def page_token(self, cursor: Sequence[CursorPart], *, query: Message, customer_id: str) -> str:
        """Return the token of the next page of `query`, good for three days.

        `query` is the request; its page size, page token and min_position do not count.
        """
        expires = int(self._clock.now().timestamp()) + PAGE_TOKEN_LIFE_SECONDS
        plain = json.dumps([expires, *cursor], separators=(",", ":")).encode()
        return self._seal(plain, _page_purpose(query, customer_id))

    def read_page(
        self, token: str, *, query: Message, customer_id: str, field: str = "page_token"
    ) -> tuple[CursorPart, ...]:
        """Return the cursor of a page token; empty for an empty token, that is for the first page.

        Errors: InvalidArgument naming `field` when the token is not one of ours, is another customer's,
        belongs to another query, or is too old.
        """
        if not token:
            return ()
        plain = self._open(token, _page_purpose(query, customer_id), field)
        expires, *cursor = cast("list[CursorPart]", json.loads(plain))
        if cast("int", expires) < self._clock.now().timestamp():
            raise InvalidArgument(FieldViolation(field, "the token is too old: start again without one"))
        return tuple(cursor)

    def _seal(self, plain: bytes, purpose: bytes) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plain, purpose)
        return _encode(sealed)

    def _open(self, token: str, purpose: bytes, field: str) -> bytes:
        try:
            sealed = _decode(token)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError):
            description = "send a token exactly as an answer to the same request gave it, or none"
            raise InvalidArgument(FieldViolation(field, description)) from None


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _decode(token: str) -> bytes:
    if len(token) > _TOKEN_CHARACTERS_MAX:
        raise ValueError(token[:20])
    sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    if _encode(sealed) != token:  # base64 has several spellings of one value: only ours is ours
        raise ValueError(token[:20])
    return sealed


def _page_purpose(query: Message, customer_id: str) -> bytes:
    bare = type(query)()
    bare.CopyFrom(query)
    for name in _NOT_PART_OF_THE_QUERY:
        if name in bare.DESCRIPTOR.fields_by_name:
            bare.ClearField(name)
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()
    return f"page {bare.DESCRIPTOR.full_name} {customer_id} {digest}".encode()
