"""One table on two sides: counts, digests, and the rows that are not the same.

Rows are summed up by bucket of their key on both sides, so that only the rows of buckets that differ are
looked at one by one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from eventstore.rebuild.read_model import acting_as

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

    Row = Mapping[str, object]

_COLUMNS: Final[LiteralString] = """
select a.attname, a.attnum = any(coalesce(i.indkey::smallint[], '{}'))
from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
_BUCKETS: Final[LiteralString] = """
select hashtextextended(row({key})::text, 0) & 1023, count(*),
  sum(('x' || encode(substring(digest from 1 for 8), 'hex'))::bit(64)::bigint::numeric)::text,
  sum(('x' || encode(substring(digest from 9 for 8), 'hex'))::bit(64)::bigint::numeric)::text
from {table} cross join lateral (select sha256(convert_to(row({columns})::text, 'UTF8')) as digest) as of_row
group by 1
"""
_ROWS: Final[LiteralString] = """
select to_jsonb(found) from (
  select {columns} from {table} where hashtextextended(row({key})::text, 0) & 1023 = %s
) as found
"""


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that is not the same on both sides; columns by name, as (live, rebuilt).

    Shape: a row that only one side has shows all of its columns, with None on the other side.
    """

    key: Row
    columns: Mapping[str, tuple[object, object]]
    only_in: str = ""


@dataclass(slots=True)
class TableDifference:
    """A table on both sides. Equal digests mean equal rows in all common columns, in whatever order."""

    table: str
    live_count: int
    rebuilt_count: int
    live_digest: str
    rebuilt_digest: str
    columns_only_live: Sequence[str]
    columns_only_rebuilt: Sequence[str]
    #: The first of the rows that differ.
    rows: list[RowDifference] = field(default_factory=list[RowDifference])

    @property
    def same(self) -> bool:
        """True when all rows are equal in all common columns."""
        return self.live_digest == self.rebuilt_digest


@dataclass(frozen=True, slots=True)
class Side:
    """Where one of the two tables is, and in which role it is read; None: as the login."""

    schema: str
    role: str | None


async def table_difference(
    connection: AsyncConnection[Any], live_side: Side, rebuilt_side: Side, table: str, rows_max: int
) -> TableDifference:
    """Compare a table on two sides, within the caller's transaction."""
    live_columns, rebuilt_columns = [
        await _columns(connection, side, table) for side in (live_side, rebuilt_side)
    ]
    common = [name for name in live_columns if name in rebuilt_columns]
    key = [name for name in common if live_columns[name]] or common
    live = _Rows(connection, live_side, table, key, common)
    rebuilt = _Rows(connection, rebuilt_side, table, key, common)
    live_buckets, rebuilt_buckets = await live.buckets(), await rebuilt.buckets()
    found = TableDifference(
        table,
        _count(live_buckets),
        _count(rebuilt_buckets),
        _digest(live_buckets),
        _digest(rebuilt_buckets),
        [name for name in live_columns if name not in rebuilt_columns],
        [name for name in rebuilt_columns if name not in live_columns],
    )
    for bucket in sorted({*live_buckets, *rebuilt_buckets}):
        if live_buckets.get(bucket) != rebuilt_buckets.get(bucket) and len(found.rows) < rows_max:
            found.rows += _row_differences(await live.of(bucket), await rebuilt.of(bucket), key)
    del found.rows[rows_max:]
    return found


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one side."""

    connection: AsyncConnection[Any]
    side: Side
    table: str
    key: Sequence[str]
    columns: Sequence[str]

    async def buckets(self) -> Mapping[int, tuple[int, str, str]]:
        """Return by bucket how many rows there are, and the two halves of the sum of their digests."""
        rows = await self._select(_BUCKETS, [])
        return {bucket: (count, first, second) for bucket, count, first, second in rows}

    async def of(self, bucket: int) -> Mapping[str, Row]:
        """Return the rows of a bucket by their keys."""
        rows = [row for (row,) in await self._select(_ROWS, [bucket])]
        return {json.dumps([row[name] for name in self.key]): row for row in rows}

    async def _select(self, query: LiteralString, values: Sequence[object]) -> Sequence[tuple[Any, ...]]:
        composed = sql.SQL(query).format(
            table=sql.Identifier(self.side.schema, self.table),
            key=sql.SQL(", ").join(map(sql.Identifier, self.key)),
            columns=sql.SQL(", ").join(map(sql.Identifier, self.columns)),
        )
        async with acting_as(self.connection, self.side.role or "none"):
            return await (await self.connection.execute(composed, values)).fetchall()


async def _columns(connection: AsyncConnection[Any], side: Side, table: str) -> Mapping[str, bool]:
    """Return the columns of a table in their order, and whether they belong to its key."""
    cursor = await connection.execute(_COLUMNS, [sql.Identifier(side.schema, table).as_string()])
    return dict(await cursor.fetchall())


def _row_differences(
    live: Mapping[str, Row], rebuilt: Mapping[str, Row], key: Sequence[str]
) -> Sequence[RowDifference]:
    found: list[RowDifference] = []
    for each in sorted({*live, *rebuilt}):
        row, other = live.get(each), rebuilt.get(each)
        if row is None or other is None:
            whole, only_in = row or other or {}, "live" if row else "rebuilt"
            columns = {name: (row and row[name], other and other[name]) for name in whole}
            found.append(RowDifference({name: whole[name] for name in key}, columns, only_in))
        elif row != other:
            columns = {name: (row[name], other[name]) for name in row if row[name] != other[name]}
            found.append(RowDifference({name: row[name] for name in key}, columns))
    return found


def _count(buckets: Mapping[int, tuple[int, str, str]]) -> int:
    return sum(count for count, _, _ in buckets.values())


def _digest(buckets: Mapping[int, tuple[int, str, str]]) -> str:
    text = "\n".join(f"{bucket} {buckets[bucket]}" for bucket in sorted(buckets))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
