"""Writes a partition as two Parquet files: its events, and where each stream's events stand among them.

Events are sorted by lane and position; a row group holds one lane's, at most 8,192 of them or about 8 MiB.
Statistics are kept of the columns that are sought by, page checksums for tools that know nothing of our
digests. Memory: one row group, and 32 bytes for each stream in each row group.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from eventstore.archive.arrow import arrow, event_schema, parquet, stream_schema, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from eventstore.types import StoredEvent

EVENTS_PER_PART_MAX: Final = 8_192
PART_BYTES_MAX: Final = 8 * 1_048_576
STREAMS_PER_PART: Final = 8_192

_NAMES: Final = ("category", "event_type", "actor")
_SOUGHT: Final = ("lane", "position", "recorded_at", "stream_id", "category", "event_type", "tenant")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes in a file, and the digest that it has."""

    start: int
    length: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file: its size and digest, its row groups in order, and its footer."""

    path: Path
    size_bytes: int
    sha256: bytes
    parts: Sequence[Span]
    footer: Span


class EventsFile:
    """The events' file while it is written; it gathers where each stream's events went."""

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        """Take where to write, and what the file says of itself."""
        self._path = path
        self._schema = event_schema().with_metadata(dict(about))
        self._writer = parquet().ParquetWriter(path, self._schema, **_options(_NAMES, _SOUGHT))
        self._places: list[Any] = []

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Write events as one row group."""
        table = table_of(events, self._schema)
        self._writer.write_table(table, row_group_size=len(events))
        self._places.append(_places(table, len(self._places)))

    def finish(self, about: Mapping[str, str]) -> WrittenFile:
        """Write the footer, with what the file says of itself now that it is whole."""
        self._writer.add_key_value_metadata(dict(about))
        self._writer.close()
        return _written(self._path)

    def places(self) -> Any:
        """Return a row for each stream in each row group, sorted by stream."""
        order = [("stream_id", "ascending"), ("part", "ascending")]
        return arrow().concat_tables(self._places).sort_by(order)


def write_streams(
    path: Path, places: Any, about: Mapping[str, str]
) -> tuple[WrittenFile, Sequence[tuple[UUID, UUID]]]:
    """Write the streams' file; return it, and the first and the last stream of each of its row groups."""
    schema = stream_schema().with_metadata(dict(about))
    with parquet().ParquetWriter(path, schema, **_options(["stream_id"], ["stream_id"])) as writer:
        writer.write_table(places.cast(schema), row_group_size=STREAMS_PER_PART)
    ids = places.column("stream_id")
    starts = range(0, len(ids), STREAMS_PER_PART)
    edges = [
        (UUID(bytes=ids[start].as_py()), UUID(bytes=ids[min(start + STREAMS_PER_PART, len(ids)) - 1].as_py()))
        for start in starts
    ]
    return _written(path), edges


def _places(table: Any, part: int) -> Any:
    versions = table.group_by("stream_id").aggregate(
        [("version", "min"), ("version", "max"), ("version", "count")]
    )
    pa = arrow()
    columns = [versions.column(f"version_{name}").cast(pa.int32()) for name in ("min", "max", "count")]
    parts = pa.array([part] * versions.num_rows, pa.int32())
    return pa.table([versions.column("stream_id"), parts, *columns], schema=stream_schema())


def _options(dictionaries: Sequence[str], sought: Sequence[str]) -> Mapping[str, Any]:
    return {
        "compression": "zstd",
        "use_dictionary": list(dictionaries),
        "write_statistics": list(sought),
        "write_page_checksum": True,
    }


def _written(path: Path) -> WrittenFile:
    metadata = parquet().read_metadata(path)
    starts = [_first_byte(metadata.row_group(number)) for number in range(metadata.num_row_groups)]
    size_bytes = path.stat().st_size
    # The footer ends with its own length in four bytes, and four letters.
    with path.open("rb") as file:
        file.seek(-8, 2)
        footer_from = size_bytes - 8 - int.from_bytes(file.read(4), "little")
        ends = [*starts[1:], footer_from]
        spans = [_span(file, start, end) for start, end in zip(starts, ends, strict=True)]
        footer = _span(file, footer_from, size_bytes)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").digest()
    return WrittenFile(path, size_bytes, sha256, spans, footer)


def _first_byte(row_group: Any) -> int:
    first = row_group.column(0)
    return min(each for each in (first.dictionary_page_offset, first.data_page_offset) if each)


def _span(file: Any, start: int, end: int) -> Span:
    file.seek(start)
    digest = hashlib.sha256()
    for begin in range(start, end, _CHUNK_BYTES):
        digest.update(file.read(min(_CHUNK_BYTES, end - begin)))
    return Span(start, end - start, digest.digest())
