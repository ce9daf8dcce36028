"""Tables like the live ones in a schema of their own, and the one way to write into them.

Rows are written in a role that has rights in that schema and nowhere else. What a projection does beside
writing its rows (append, write another table, move a checkpoint) is refused by the database.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from eventstore.connections import PROJECT_ROLE
from eventstore.rebuild import checkpoints
from eventstore.rebuild.pages import pages_until
from eventstore.rebuild.progress import RebuildProgress, tell_nobody
from eventstore.rebuild.read_model import REBUILD_ROLE, acting_as
from eventstore.rebuild.rebuildable import Bulky, Reshaping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.rebuild.progress import Report
    from eventstore.rebuild.read_model import ReadModel
    from eventstore.types import Page

#: Events of one page, and of one transaction.
PAGE_EVENTS_MAX: Final = 5_000

_CLONE: Final[LiteralString] = "select es.clone_table_v1(%s::regclass, %s, %s)"
_INDEX: Final[LiteralString] = "select es.index_clone_v1(%s::regclass, %s, %s)"
_ENTER: Final[LiteralString] = "select set_config('search_path', quote_ident(%s) || ', pg_temp', true)"
_TYPES: Final[LiteralString] = """
select a.atttypid::bigint from unnest(%s::text[]) with ordinality as wanted(name, place)
join pg_attribute a on a.attrelid = %s::regclass and a.attname = wanted.name
order by place
"""
_GRANT: Final[LiteralString] = (
    "grant usage on schema {schema} to {role};"
    " grant select, insert, update, delete, truncate on all tables in schema {schema} to {role}"
)


@dataclass(slots=True)
class Shadow:
    """A copy of a read model under construction; `name` is that of its checkpoint, empty when it has none."""

    model: ReadModel
    connection: AsyncConnection[Any]
    schema: str
    name: str = ""
    positions: dict[int, int] = field(default_factory=dict[int, int])
    page_max: int = PAGE_EVENTS_MAX

    async def create(self, *, logged: bool) -> None:
        """Create the schema and its empty tables, within the caller's transaction.

        Errors: psycopg.errors.FeatureNotSupported when a table has what a clone would lack.
        """
        projection = self.model.projection
        await self.connection.execute(sql.SQL("create schema {}").format(sql.Identifier(self.schema)))
        for live in self._live_tables():
            await self.connection.execute(_CLONE, [live, self.schema, logged])
            if not self._is_bulk():
                await self.connection.execute(_INDEX, [live, self.schema, True])
        if isinstance(projection, Reshaping):
            await self.connection.execute(_ENTER, [self.schema])
            for statement in projection.reshape:
                await self.connection.execute(statement)
        await self._grant()

    async def fold(self, until: Mapping[int, int], report: Report = tell_nobody) -> int:
        """Write the rows of all events up to these positions, and return how many events that were."""
        clock = asyncio.get_running_loop().time
        begun_at, began = dict(self.positions), clock()
        events_count = 0
        pages = pages_until(self.model.store, self.model.projection, self.positions, until, self.page_max)
        async for page in pages:
            async with self.connection.transaction():
                await self.write(page)
            events_count += len(page.events)
            report(RebuildProgress(dict(self.positions), until, begun_at, clock() - began))
        return events_count

    async def write(self, page: Page) -> None:
        """Write the rows of a page, and the checkpoint, within the caller's transaction."""
        lane, number = page.scanned.lane, page.scanned.number
        if page.events:
            async with acting_as(self.connection, REBUILD_ROLE):
                await self.connection.execute(_ENTER, [self.schema])
                await self.model.projection.apply(self.connection, page.events)
        if self.name:
            async with acting_as(self.connection, PROJECT_ROLE):
                version = self.model.projection.version
                await checkpoints.move(self.connection, self.name, version, lane, number)
        self.positions[lane] = number

    async def load(self, until: Mapping[int, int], report: Report = tell_nobody) -> None:
        """Gather the rows of all events in memory and copy them in, when the projection offers that.

        Nothing is kept before the end: broken off, it begins anew.
        """
        projection = self.model.projection
        if not isinstance(projection, Bulky) or not self._is_bulk() or any(self.positions.values()):
            return
        clock = asyncio.get_running_loop().time
        began, reached = clock(), dict.fromkeys(self.model.lanes, 0)
        gathered = projection.bulk_fold()
        async for page in pages_until(self.model.store, projection, {}, until, self.page_max):
            gathered.fold(page.events)
            reached[page.scanned.lane] = page.scanned.number
            report(RebuildProgress(dict(reached), until, {}, clock() - began))
        async with self.connection.transaction():
            async with acting_as(self.connection, REBUILD_ROLE):
                for table, (columns, rows) in gathered.rows().items():
                    await self._copy(table, columns, rows)
            async with acting_as(self.connection, PROJECT_ROLE):
                for lane, number in reached.items():
                    await checkpoints.move(self.connection, self.name, projection.version, lane, number)
        self.positions.update(reached)

    async def index(self) -> None:
        """Make the indexes that are still missing, and let the planner know the tables."""
        for live in self._live_tables():
            await self.connection.execute(_INDEX, [live, self.schema, True])
            await self.connection.execute(_INDEX, [live, self.schema, False])
        for table in self.model.projection.tables:
            await self.connection.execute(sql.SQL("analyze {}").format(sql.Identifier(self.schema, table)))

    def _is_bulk(self) -> bool:
        projection = self.model.projection
        return isinstance(projection, Bulky) and not isinstance(projection, Reshaping) and self.name != ""

    def _live_tables(self) -> Sequence[str]:
        projection = self.model.projection
        return [sql.Identifier(projection.schema, each).as_string() for each in projection.tables]

    async def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            sql.Identifier(self.schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        types = await self._types(table, columns)
        async with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                await copy.write_row(row)

    async def _types(self, table: str, columns: Sequence[str]) -> Sequence[int]:
        """Return the types of columns: binary COPY converts nothing."""
        cursor = await self.connection.execute(
            _TYPES, [list(columns), sql.Identifier(self.schema, table).as_string()]
        )
        return [oid for (oid,) in await cursor.fetchall()]

    async def _grant(self) -> None:
        names = {"schema": sql.Identifier(self.schema), "role": sql.Identifier(REBUILD_ROLE)}
        await self.connection.execute(sql.SQL(_GRANT).format(**names))
