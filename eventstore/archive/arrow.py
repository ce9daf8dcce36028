"""The archive's two tables in Apache Arrow, and the way of an event into a row and back.

Names stand in the rows instead of the database's numbers, so that a file can be read without it. pyarrow
costs 40 MB and a third of a second in every process that imports it, so it is imported at first use, and in
this folder alone.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from eventstore.types import Position, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from types import ModuleType

#: Raised when a reader of today could not read what is written tomorrow.
FORMAT_VERSION: Final = 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EVENT_TYPE: Final = 7


@cache
def arrow() -> ModuleType:
    """Return pyarrow."""
    return importlib.import_module("pyarrow")


@cache
def compute() -> ModuleType:
    """Return pyarrow.compute."""
    return importlib.import_module("pyarrow.compute")


@cache
def parquet() -> ModuleType:
    """Return pyarrow.parquet."""
    return importlib.import_module("pyarrow.parquet")


@cache
def event_schema() -> Any:
    """Return the columns of the events' file."""
    pa = arrow()
    uuid = pa.binary(16)
    return _schema(
        lane=pa.int16(),
        position=pa.int64(),
        recorded_at=pa.timestamp("us", tz="UTC"),
        stream_id=uuid,
        category=pa.string(),
        version=pa.int32(),
        event_id=uuid,
        event_type=pa.string(),
        schema_version=pa.int16(),
        payload=pa.binary(),
        tenant=uuid,
        correlation_id=uuid,
        causation_id=uuid,
        trace_parent=pa.string(),
        actor=pa.string(),
        hash=pa.binary(32),
    )


@cache
def stream_schema() -> Any:
    """Return the columns of the streams' file: which versions stand in which row group of the other."""
    pa = arrow()
    return _schema(
        stream_id=pa.binary(16),
        part=pa.int32(),
        first_version=pa.int32(),
        last_version=pa.int32(),
        events=pa.int32(),
    )


def table_of(events: Sequence[StoredEvent], schema: Any) -> Any:
    """Return events as rows."""
    columns: list[Sequence[object]] = [
        [each.position.lane for each in events],
        [each.position.number for each in events],
        [(each.recorded_at - _EPOCH) // _MICROSECOND for each in events],
        [each.stream_id.bytes for each in events],
        [each.category for each in events],
        [each.version for each in events],
        [each.event_id.bytes for each in events],
        [each.event_type for each in events],
        [each.schema_version for each in events],
        [each.payload for each in events],
        [each.tenant.bytes for each in events],
        [_bytes(each.correlation_id) for each in events],
        [_bytes(each.causation_id) for each in events],
        [each.trace_parent for each in events],
        [each.actor for each in events],
        [each.hash for each in events],
    ]
    pa = arrow()
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)


def events_of(table: Any, ignorable: Container[str]) -> Iterator[StoredEvent]:
    """Yield the events of rows; `ignorable` holds the event types that are."""
    pa = arrow()
    columns = [
        (column.cast(pa.int64()) if name == "recorded_at" else column).to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    are_ignorable = [name in ignorable for name in columns[_EVENT_TYPE]]
    return starmap(_event, zip(*columns, are_ignorable, strict=True))


def _schema(**columns: Any) -> Any:
    pa = arrow()
    optional = {"correlation_id", "causation_id"}
    return pa.schema([pa.field(name, kind, nullable=name in optional) for name, kind in columns.items()])


def _event(  # noqa: PLR0917  # one per column, in the columns' order
    lane: int,
    number: int,
    recorded_at: int,
    stream_id: bytes,
    category: str,
    version: int,
    event_id: bytes,
    event_type: str,
    schema_version: int,
    payload: bytes,
    tenant: bytes,
    correlation_id: bytes | None,
    causation_id: bytes | None,
    trace_parent: str,
    actor: str,
    chained: bytes,
    ignorable: bool,  # noqa: FBT001  # same
) -> StoredEvent:
    return StoredEvent(
        Position(lane, number),
        UUID(bytes=stream_id),
        category,
        version,
        UUID(bytes=event_id),
        event_type,
        schema_version,
        payload,
        UUID(bytes=tenant),
        UUID(bytes=correlation_id) if correlation_id else None,
        UUID(bytes=causation_id) if causation_id else None,
        trace_parent,
        actor,
        _EPOCH + timedelta(microseconds=recorded_at),
        chained,
        ignorable,
    )


def _bytes(identifier: UUID | None) -> bytes | None:
    return identifier.bytes if identifier else None
