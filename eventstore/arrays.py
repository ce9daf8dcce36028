"""Postgres arrays in their binary form, made by hand: one type per column, whatever the values are.

psycopg would choose int2[] or int4[] by the values of each batch and so prepare the statement anew; it also
walks each list element by element. These are a join of bytes, and always of the same type.
Source: PostgreSQL source, array_recv: dimensions, flags, element oid, length, lower bound, then the elements.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

_HEADER = struct.Struct(">iiIii")
_NULL = b"\xff\xff\xff\xff"
_UUID_LENGTH = struct.pack(">i", 16)
_SMALLINT = struct.Struct(">ih")
_INTEGER = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")


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
    def of(cls, values: Iterable[UUID | None]) -> UuidArray:
        """Encode; None becomes null."""
        return cls([_NULL if each is None else _UUID_LENGTH + each.bytes for each in values])


class SmallintArray(BinaryArray):
    """smallint[]."""

    element_oid = 21
    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[int]) -> SmallintArray:
        """Encode."""
        return cls([_SMALLINT.pack(2, each) for each in values])


class IntegerArray(BinaryArray):
    """integer[]."""

    element_oid = 23
    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[int]) -> IntegerArray:
        """Encode."""
        return cls([_INTEGER.pack(4, each) for each in values])


class ByteaArray(BinaryArray):
    """bytea[]."""

    element_oid = 17
    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[bytes]) -> ByteaArray:
        """Encode."""
        return cls([_LENGTH.pack(len(each)) + each for each in values])


class TextArray(BinaryArray):
    """text[]."""

    element_oid = 25
    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[str]) -> TextArray:
        """Encode in UTF-8, which the connection must use."""
        return cls([_LENGTH.pack(len(each)) + each for each in (text.encode() for text in values)])


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> bytes:
        return obj.encoded


class _UuidArrayDumper(_ArrayDumper):
    oid = 2951


class _SmallintArrayDumper(_ArrayDumper):
    oid = 1005


class _IntegerArrayDumper(_ArrayDumper):
    oid = 1007


class _ByteaArrayDumper(_ArrayDumper):
    oid = 1001


class _TextArrayDumper(_ArrayDumper):
    oid = 1009


def register_arrays(connection: AsyncConnection) -> None:
    """Teach a connection to send these arrays."""
    for array, dumper in (
        (UuidArray, _UuidArrayDumper),
        (SmallintArray, _SmallintArrayDumper),
        (IntegerArray, _IntegerArrayDumper),
        (ByteaArray, _ByteaArrayDumper),
        (TextArray, _TextArrayDumper),
    ):
        connection.adapters.register_dumper(array, dumper)
