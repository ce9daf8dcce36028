"""The table of log seals: read by whoever verifies, added to by the sealer's role alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row

from eventstore.audit.log_seal import LogSeal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

SEAL_ROLE: Final = "es_seal"
SEALS_PER_PAGE: Final = 1_000

_COLUMNS: Final[LiteralString] = (
    "log_id, lane, number, from_position, to_position, sealed_at, root, end_hash, previous_hash, public_key,"
    " signature from es.log_seal"
)
_AFTER: Final[LiteralString] = (
    "select " + _COLUMNS + " where lane = %s and number > %s order by number limit %s"
)
_LAST: Final[LiteralString] = "select " + _COLUMNS + " where lane = %s order by number desc limit 1"
_COVERING: Final[LiteralString] = (
    "select " + _COLUMNS + " where lane = %s and to_position >= %s order by to_position limit 1"
)
_LANES: Final[LiteralString] = "select lane from es.lane where lane >= 0 order by lane"
_LOG_ID: Final[LiteralString] = "select log_id from es.log_identity"
_NOW: Final[LiteralString] = "select clock_timestamp()"
_UNSEALED: Final[LiteralString] = """
select coalesce((select e.position from es.event e where e.lane = %(lane)s
                 order by e.position desc limit 1), 0),
       (select p.to_position - 1 from es.partition p
        where p.log = 'event' and p.from_position <= %(next)s and %(next)s < p.to_position),
       (select extract(epoch from clock_timestamp() - e.recorded_at)::float8 from es.event e
        where e.lane = %(lane)s and e.position = %(next)s)
"""
_ADD: Final[LiteralString] = "select es.add_log_seal_v1(%s::smallint, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What of a lane has no seal yet.

    Shape: `age_seconds` of its first event, None when that event is not there.
    """

    head: int
    partition_end: int | None
    age_seconds: float | None


async def lanes(connection: AsyncConnection) -> Sequence[int]:
    """Return the chained lanes."""
    return [row[0] for row in await _rows(connection, _LANES)]


async def log_id(connection: AsyncConnection) -> UUID:
    """Return which log this is."""
    return (await _rows(connection, _LOG_ID))[0][0]


async def database_time(connection: AsyncConnection) -> datetime:
    """Return the database's time."""
    return (await _rows(connection, _NOW))[0][0]


async def unsealed(connection: AsyncConnection, lane: int, last: LogSeal | None) -> Unsealed:
    """Return what follows the last seal of a lane."""
    following = last.to_position + 1 if last else 1
    rows = await _rows(connection, _UNSEALED, {"lane": lane, "next": following})
    return Unsealed(*rows[0])


async def last_seal(connection: AsyncConnection, lane: int) -> LogSeal | None:
    """Return the last seal of a lane, or None."""
    rows = await _rows(connection, _LAST, [lane])
    return LogSeal(*rows[0]) if rows else None


async def seal_covering(connection: AsyncConnection, lane: int, position: int) -> LogSeal | None:
    """Return the seal over a position, or None when there is none yet."""
    rows = await _rows(connection, _COVERING, [lane, position])
    return LogSeal(*rows[0]) if rows else None


async def seals_after(
    connection: AsyncConnection, lane: int, number: int, limit: int = SEALS_PER_PAGE
) -> Sequence[LogSeal]:
    """Return what follows a number in a lane, at most `limit`."""
    return [LogSeal(*row) for row in await _rows(connection, _AFTER, [lane, number, limit])]


async def all_seals(connection: AsyncConnection, lane: int, after: int = 0) -> AsyncGenerator[LogSeal]:
    """Yield the seals of a lane after a number, in order."""
    while page := await seals_after(connection, lane, after):
        for each in page:
            yield each
        after = page[-1].number


async def add_seal(connection: AsyncConnection, seal: LogSeal) -> bool:
    """Add a seal; False when one of that number stands already.

    Errors: psycopg.errors.IntegrityError when it does not continue the last.
    """
    values = [
        *(seal.lane, seal.number, seal.from_position, seal.to_position, seal.log_id, seal.sealed_at),
        *(seal.root, seal.end_hash, seal.previous_hash, seal.public_key, seal.signature),
    ]
    return (await _rows(connection, _ADD, values))[0][0]


async def _rows(connection: AsyncConnection, query: LiteralString, values: Any = None) -> Sequence[Any]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(query, values)
    return await cursor.fetchall()
