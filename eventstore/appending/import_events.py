"""Brings many events in at once: backfills, and histories from another system.

Chunks are copied in binary form into a table of the connection's own, and appended by one call of a
function: no transaction of ours ever holds the lane's lock, so that an import that freezes stops nobody.
While one chunk is being appended the next is copied, over a second connection. What was imported is chained
and numbered like everything else. Others wait while a chunk is appended: choose its size by what they bear.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.rows import tuple_row

from eventstore.appending.copy_rows import encode_rows
from eventstore.connections import APPEND_ROLE, backoff
from eventstore.errors import (
    EventIdReused,
    EventStoreError,
    InvalidAppend,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eventstore.limits import check_append, size_bytes
from eventstore.line import ConnectionLost, Line
from eventstore.names import Names
from eventstore.types import NO_STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
    from typing import Any
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import StreamAppend

EVENTS_PER_CHUNK: Final = 10_000
BYTES_PER_CHUNK_MAX: Final = 32 * 1_048_576
PATIENCE_SECONDS: Final = 60.0

_COUNT_LANES: LiteralString = "select lanes from es.setting"
_OPEN: LiteralString = "select es.open_import_v1()"
_COPY: LiteralString = "copy pg_temp.import_row from stdin (format binary)"
_IMPORT: LiteralString = "select * from es.import_v1(%s::smallint)"
_CONFLICT: Final = 2
_REUSED: Final = 3


@dataclass(frozen=True, slots=True)
class Imported:
    """How far an import is: `passed_over` events stood already, each in its place."""

    appends_count: int = 0
    events_count: int = 0
    passed_over: int = 0


class ImportRefused(EventStoreError):
    """One append of an import does not fit; its chunk was not written, the chunks before it were."""

    def __init__(self, number: int, reason: EventStoreError) -> None:
        """Take the append's place in the import, from 1, and what is wrong with it."""
        super().__init__(f"append {number} of the import: {reason}")
        self.number = number
        self.reason = reason


@dataclass(slots=True)
class _Chunk:
    """Appends of one lane in their order; `numbers` are their places in the import."""

    lane: int
    numbers: list[int] = field(default_factory=list)
    appends: list[StreamAppend] = field(default_factory=list)
    event_ids: set[UUID] = field(default_factory=set)
    size_bytes: int = 0

    def takes(self, append: StreamAppend, events_max: int) -> bool:
        """Return whether an append fits in: one that repeats an event id belongs into the next chunk."""
        return not self.appends or (
            len(self.event_ids) + len(append.events) <= events_max
            and self.size_bytes + size_bytes(append.events) <= BYTES_PER_CHUNK_MAX
            and self.event_ids.isdisjoint(event.event_id for event in append.events)
        )

    def add(self, number: int, append: StreamAppend) -> None:
        self.numbers.append(number)
        self.appends.append(append)
        self.event_ids.update(event.event_id for event in append.events)
        self.size_bytes += size_bytes(append.events)


async def import_events(
    conninfo: str,
    appends: AsyncIterable[StreamAppend],
    *,
    events_per_chunk: int = EVENTS_PER_CHUNK,
    progress: Callable[[Imported], None] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Imported:
    """Append all of these, in order within their lane; run again, it goes on where it stopped.

    Shape: each append names one stream, at most 1,000 events, and expects it at any version or not to be
    there yet. `recorded_at` is the time of the import: when the thing happened belongs into the payload.
    Errors: ImportRefused for the first append that does not fit; StoreUnavailable when the database stays
    away for longer than `patience_seconds`.
    """
    async with AsyncExitStack() as stack:
        lines = [Line(conninfo, APPEND_ROLE, f"import {number}") for number in (1, 2)]
        for each in lines:
            stack.push_async_callback(each.close)
        run = _Run(lines, progress or _say_nothing, patience_seconds)
        await run.open()
        try:
            async for chunk in _chunks(appends, run.lanes, events_per_chunk):
                await run.take(chunk)
        finally:
            await run.finish()
        return run.imported


def _say_nothing(_: Imported) -> None:
    """Be the progress that nobody asked for."""


class _Run:
    """One import: two lines, by turns."""

    def __init__(
        self, lines: Sequence[Line], progress: Callable[[Imported], None], patience_seconds: float
    ) -> None:
        self.lanes = 1
        self._lines = lines
        self._progress = progress
        self._patience_seconds = patience_seconds
        self._names = Names()
        self.imported = Imported()
        self._taken_count = 0
        self._appending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ask how many lanes there are."""
        self.lanes = await self._patiently(self._lines[0], _lanes)

    async def take(self, chunk: _Chunk) -> None:
        """Copy a chunk while the one before it is being appended, and have it appended next."""
        line = self._lines[self._taken_count % 2]
        self._taken_count += 1
        try:
            await self._patiently(line, lambda connection: self._copy(connection, chunk))
        finally:
            await self.finish()
        self._appending = asyncio.create_task(self._append(line, chunk), name="eventstore import")

    async def finish(self) -> None:
        """Wait for the chunk that is being appended."""
        if self._appending is not None:
            appending, self._appending = self._appending, None
            await appending

    async def _append(self, line: Line, chunk: _Chunk) -> None:
        copied = True

        async def append(connection: AsyncConnection[Any]) -> tuple[Any, ...]:
            nonlocal copied
            if not copied:
                await self._copy(connection, chunk)
            # Lost from here on, the connection takes its table with it; what was written is passed over then.
            copied = False
            return await _row(connection, _IMPORT, [chunk.lane])

        imported, passed_over, _, *refusal = await self._patiently(line, append)
        if refusal[0] is not None:
            raise _refused(chunk, *refusal)
        self.imported = Imported(
            self.imported.appends_count + len(chunk.appends),
            self.imported.events_count + imported,
            self.imported.passed_over + passed_over,
        )
        self._progress(self.imported)

    async def _copy(self, connection: AsyncConnection[Any], chunk: _Chunk) -> None:
        categories = {each.category for each in chunk.appends}
        events = [event for each in chunk.appends for event in each.events]
        await self._names.intern(connection, categories, events)
        await connection.execute(_OPEN)
        async with connection.cursor().copy(_COPY) as copy:
            for block in encode_rows(chunk.appends, self._names):
                await copy.write(block)

    async def _patiently(self, line: Line, work: Callable[[AsyncConnection[Any]], Any]) -> Any:
        try:
            async with asyncio.timeout(self._patience_seconds):
                async for pause_seconds in backoff():
                    try:
                        return await line.call(work)
                    except ConnectionLost:
                        await asyncio.sleep(pause_seconds)
        except TimeoutError:
            raise StoreUnavailable from None
        except psycopg.Error as error:
            raise StoreUnavailable(f"the database refused the import: {error}") from error
        raise AssertionError("backoff never ends")


async def _chunks(appends: AsyncIterable[StreamAppend], lanes: int, events_max: int) -> AsyncIterator[_Chunk]:
    gathering: dict[int, _Chunk] = {}
    number = 0
    async for append in appends:
        number += 1
        lane = _checked(number, append, lanes)
        chunk = gathering.setdefault(lane, _Chunk(lane))
        if not chunk.takes(append, events_max):
            yield chunk
            chunk = gathering[lane] = _Chunk(lane)
        chunk.add(number, append)
    for chunk in gathering.values():
        yield chunk


def _checked(number: int, append: StreamAppend, lanes: int) -> int:
    if append.expected_version > NO_STREAM:
        reason = InvalidAppend("an import expects a stream at any version, or not to be there yet")
        raise ImportRefused(number, reason)
    try:
        return check_append((append,), lanes)
    except InvalidAppend as error:
        raise ImportRefused(number, error) from None


def _refused(chunk: _Chunk, request: int, code: int, found: int | None) -> ImportRefused:
    append = chunk.appends[request - 1]
    if code == _REUSED:
        reason: EventStoreError = EventIdReused()
    elif code == _CONFLICT:
        reason = WrongExpectedVersion(append.stream_id, append.expected_version, found or 0)
    else:
        reason = InvalidAppend(f"stream {append.stream_id} belongs to another tenant or category")
    return ImportRefused(chunk.numbers[request - 1], reason)


async def _lanes(connection: AsyncConnection[Any]) -> int:
    row = await _row(connection, _COUNT_LANES)
    return row[0]


async def _row(
    connection: AsyncConnection[Any], query: LiteralString, parameters: Sequence[object] = ()
) -> tuple[Any, ...]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(query, parameters)
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError(f"one row was expected of {query}")
    return row
