"""Decodes single row groups of the archive's files from the bytes that were fetched of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventstore.archive.arrow import arrow, compute, events_of, parquet

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from uuid import UUID

    from eventstore.types import StoredEvent


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Which versions of a stream stand in one row group of the events' file."""

    part: int
    first_version: int
    last_version: int
    events: int


class Footer:
    """A parsed footer, with which row groups of its file can be decoded."""

    def __init__(self, content: bytes, file_bytes: int) -> None:
        """Take the file's last bytes, from where its footer begins, and the file's size."""
        self._file_bytes = file_bytes
        # The length of the magic letters stands before: a footer alone is no file.
        self._metadata = parquet().read_metadata(io.BytesIO(b"PAR1" + content))

    def table(self, number: int, start: int, content: bytes) -> Any:
        """Decode a row group from its bytes, which begin at `start` of the file."""
        window = _Window(start, content, self._file_bytes)
        file = parquet().ParquetFile(arrow().PythonFile(window, mode="r"), metadata=self._metadata)
        return file.read_row_group(number, use_threads=False).combine_chunks()


class EventPart:
    """Decoded events of one lane: cheap to keep, turned into events a few at a time."""

    def __init__(self, table: Any) -> None:
        """Take the rows."""
        self._table = table

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return self._table.nbytes

    def slice(
        self, start: int, length: int, ignorable: Container[str] = frozenset()
    ) -> Sequence[StoredEvent]:
        """Return events by their place in the part; `ignorable` holds the event types that are."""
        return list(events_of(self._table.slice(start, length), ignorable))

    def rows(self, start: int, length: int) -> EventPart:
        """Return some of the events, undecoded still."""
        return EventPart(self._table.slice(start, length))

    def among(self, column: str, names: frozenset[str]) -> EventPart:
        """Return the events that have one of these names in a column."""
        values = self._table.column(column)
        sought = arrow().array(sorted(names), values.type)
        return EventPart(self._table.filter(compute().is_in(values, value_set=sought)))

    def of(self, column: str, identifier: UUID) -> EventPart:
        """Return the events that have an id in a column."""
        return EventPart(_having(self._table, column, identifier))

    def __len__(self) -> int:
        return self._table.num_rows


class PlacePart:
    """Decoded places of streams."""

    def __init__(self, table: Any) -> None:
        """Take the rows."""
        self._table = table

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return self._table.nbytes

    def of(self, stream_id: UUID) -> Sequence[StreamPlace]:
        """Return a stream's places, in order."""
        columns = [each.to_pylist() for each in _having(self._table, "stream_id", stream_id).columns[1:]]
        return [StreamPlace(*row) for row in zip(*columns, strict=True)]

    def events_count(self) -> int:
        """Return how many events all of its places name."""
        return compute().sum(self._table.column("events")).as_py() or 0


class _Window(io.RawIOBase):
    """A file of which only one run of bytes is here."""

    def __init__(self, start: int, content: bytes, file_bytes: int) -> None:
        self._start = start
        self._content = content
        self._file_bytes = file_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file_bytes}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        begin = self._at - self._start
        if begin < 0 or size < 0 or begin + size > len(self._content):
            raise EOFError(f"bytes {self._at} to {self._at + size} were not fetched")
        self._at += size
        return self._content[begin : begin + size]


def _having(table: Any, column: str, identifier: UUID) -> Any:
    values = table.column(column)
    return table.filter(compute().equal(values, arrow().scalar(identifier.bytes, values.type)))
