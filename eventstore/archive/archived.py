"""What the database knows of archived partitions: where they are, and which bytes of them hold what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg.rows import tuple_row

from eventstore.archive.parquet_writer import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.archive.object_storage import ObjectStorage

EVENTS: Final = "events"
STREAMS: Final = "streams"

_ARCHIVES: LiteralString = (
    "select from_position, to_position, url, deleted_at is not null from es.archive"
    " where to_position > %(first)s and from_position <= %(last)s order by from_position"
)
_DELETED_UNTIL: LiteralString = (
    "select a.to_position, l.lane, l.end_hash from es.archive a join es.archive_lane l using (from_position)"
    " where a.from_position = (select max(from_position) from es.archive where deleted_at is not null)"
)
_OBJECTS: LiteralString = (
    "select content, name, bytes, sha256, footer_from, footer_sha256 from es.archive_object"
    " where from_position = %(archive)s"
)
_RECORDED: LiteralString = (
    "select l.log_id, o.name from es.log_identity l left join es.archive_object o on true"
)
_PARTS: LiteralString = (
    "select number, byte_from, bytes, sha256, lane, first_position, last_position, first_stream_id,"
    " last_stream_id from es.archive_part where from_position = %(archive)s and content = %(content)s"
    " order by number"
)


@dataclass(frozen=True, slots=True)
class Archived:
    """A partition that was archived; `to_position` is the first one after."""

    from_position: int
    to_position: int
    url: str
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class ArchivedObject:
    """One of the objects of an archived partition."""

    name: str
    size_bytes: int
    sha256: bytes
    footer: Span


@dataclass(frozen=True, slots=True)
class EventSpan:
    """A row group of events: which positions of which lane its bytes hold."""

    number: int
    span: Span
    lane: int
    first_position: int
    last_position: int


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """A row group of streams: from which to which."""

    number: int
    span: Span
    first_stream_id: UUID
    last_stream_id: UUID


async def archives(connection: AsyncConnection, first: int, last: int) -> Sequence[Archived]:
    """Return the archived partitions that overlap positions, oldest first."""
    return [Archived(*row) for row in await _rows(connection, _ARCHIVES, {"first": first, "last": last})]


async def deleted_until(connection: AsyncConnection) -> tuple[int, Mapping[int, bytes]]:
    """Return the first position that was not deleted, and per lane the hash before it."""
    rows = await _rows(connection, _DELETED_UNTIL, {})
    return rows[0][0], {lane: end_hash for _, lane, end_hash in rows}


async def objects(connection: AsyncConnection, archive: int) -> Mapping[str, ArchivedObject]:
    """Return the objects of the archive that begins at a position, by their content."""
    rows = await _rows(connection, _OBJECTS, {"archive": archive})
    return {
        content: ArchivedObject(name, size, sha256, Span(footer_from, size - footer_from, footer_sha256))
        for content, name, size, sha256, footer_from, footer_sha256 in rows
    }


async def unrecorded(connection: AsyncConnection, storage: ObjectStorage) -> Sequence[str]:
    """Return the names of this log's objects that no archive consists of: left behind by who was killed.

    Errors: ObjectStorageUnavailable.
    """
    rows = await _rows(connection, _RECORDED, {})
    recorded = {name for _, name in rows}
    return [name for name in await storage.names(f"{rows[0][0]}/") if name not in recorded] if rows else []


async def event_spans(connection: AsyncConnection, archive: int) -> Sequence[EventSpan]:
    """Return the row groups of an archive's events, in order."""
    rows = await _rows(connection, _PARTS, {"archive": archive, "content": EVENTS})
    return [EventSpan(row[0], Span(*row[1:4]), *row[4:7]) for row in rows]


async def stream_spans(connection: AsyncConnection, archive: int) -> Sequence[StreamSpan]:
    """Return the row groups of an archive's streams, in order."""
    rows = await _rows(connection, _PARTS, {"archive": archive, "content": STREAMS})
    return [StreamSpan(row[0], Span(*row[1:4]), *row[7:9]) for row in rows]


async def _rows(
    connection: AsyncConnection, query: LiteralString, wanted: Mapping[str, object]
) -> Sequence[tuple[Any, ...]]:
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(query, wanted)
    return await cursor.fetchall()
