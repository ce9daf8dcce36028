"""Postgres arrays in their binary form, made and read by hand: one type per column, whatever the values are.

psycopg would choose int2[] or int4[] by the values of each batch and so prepare the statement anew; it also
walks each list element by element. These are a join of bytes, and always of the same type.
Source: PostgreSQL source, array_recv: dimensions, flags, element oid, length, lower bound, then the elements.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_HEADER: Final = struct.Struct(">iiIii")
_NULL: Final = b"\xff\xff\xff\xff"
_UUID_LENGTH: Final = struct.pack(">i", 16)
_SMALLINT: Final = struct.Struct(">ih")
_INTEGER: Final = struct.Struct(">ii")
_LENGTH: Final = struct.Struct(">i")


class BinaryArray:
    """A one-dimensional array, ready to be sent."""

    element_oid: ClassVar[int]
    __slots__ = ("encoded",)

    def __init__(self, elements: Sequence[bytes]) -> None:
        header = _HEADER.pack(1, 1, self.element_oid, len(elements), 1) if elements else bytes(8)
        self.encoded = header + b"".join(elements)
        if not elements:
            self.encoded += struct.pack(">I", self.element_oid)


class UuidArray(BinaryArray):
    """uuid[]."""

    element_oid = 2950
    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[UUID | None]) -> UuidArray:
        """Encode; None becomes null."""
        return cls([_NULL if each is None else _UUID_LENGTH + each.bytes for each in values])


class SmallintArray(BinaryArray):
    """smallint[]."""

    element_oid = 21
    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[int]) -> SmallintArray:
        """Encode."""
        return cls([_SMALLINT.pack(2, each) for each in values])


class IntegerArray(BinaryArray):
    """integer[]."""

    element_oid = 23
    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[int]) -> IntegerArray:
        """Encode."""
        return cls([_INTEGER.pack(4, each) for each in values])


class ByteaArray(BinaryArray):
    """bytea[]."""

    element_oid = 17
    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[bytes]) -> ByteaArray:
        """Encode."""
        return cls([_LENGTH.pack(len(each)) + each for each in values])


class TextArray(BinaryArray):
    """text[]."""

    element_oid = 25
    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[str]) -> TextArray:
        """Encode in UTF-8, which the connection must use."""
        return cls([_LENGTH.pack(len(each)) + each for each in (text.encode() for text in values)])


def read_smallints(encoded: bytes) -> Sequence[int | None]:
    """Return the elements of a smallint[]; None where it holds null."""
    return _read(encoded, "h")


def read_integers(encoded: bytes) -> Sequence[int | None]:
    """Return the elements of an integer[]; None where it holds null."""
    return _read(encoded, "i")


def read_bigints(encoded: bytes) -> Sequence[int | None]:
    """Return the elements of a bigint[], or timestamptz[] in microseconds; None where it holds null."""
    return _read(encoded, "q")


def _read(encoded: bytes, element: str) -> Sequence[int | None]:
    if encoded[:4] == bytes(4):
        return ()
    _, has_null, _, count, _ = _HEADER.unpack_from(encoded)
    if not has_null:
        return struct.unpack_from(">" + ("i" + element) * count, encoded, _HEADER.size)[1::2]
    value = struct.Struct(">" + element)
    found: list[int | None] = []
    at = _HEADER.size
    for _ in range(count):
        length = _LENGTH.unpack_from(encoded, at)[0]
        at += _LENGTH.size
        found.append(None if length < 0 else value.unpack_from(encoded, at)[0])
        at += max(length, 0)
    return found
