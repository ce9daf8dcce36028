"""A small read model of two tables and two lanes, with all that a table can wear."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.read_model import ReadModel
from eventstore.types import LEDGER_LANE, PULSE_LANE, Filter, Position
from tests.fix_events import TENANT, append_to, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.rebuild.rebuildable import Rebuildable
    from eventstore.types import StoredEvent

ROLE = "shop_service"
TABLES: LiteralString = """
do $$ begin
  create role shop_service nologin;
exception when duplicate_object or unique_violation then null;
end $$;
grant es_project, es_read_all to shop_service;
create schema shop;
grant usage on schema shop to shop_service, es_read_tenant;
create table shop.visit (
  stream_id uuid primary key,
  tenant uuid not null,
  number integer not null default 0 check (number >= 0),
  even boolean not null generated always as (number % 2 = 0) stored,
  last_position bigint not null,
  seen_at timestamptz not null,
  unique (last_position, tenant)
) with (fillfactor = 71);
create index visit_by_number on shop.visit (number desc) include (tenant) where number > 1;
create unique index visit_once on shop.visit (tenant, stream_id);
comment on table shop.visit is 'visits by stream';
alter table shop.visit enable row level security;
alter table shop.visit force row level security;
create policy service_all on shop.visit to shop_service using (true) with check (true);
create policy tenant_reads on shop.visit as restrictive for select to es_read_tenant, public
  using (tenant is not null);
grant select, insert, update, delete, truncate on shop.visit to shop_service;
grant select (stream_id, number) on shop.visit to es_read_tenant with grant option;
create table shop.beat (stream_id uuid primary key, beats integer not null, beat_at timestamptz not null);
grant select, insert, update, delete, truncate on shop.beat to shop_service;
create table shop.other (id integer);
grant insert on shop.other to shop_service;
"""
_VISIT: LiteralString = """
insert into visit as known (stream_id, tenant, number, last_position, seen_at)
values (%(stream_id)s, %(tenant)s, %(number)s, %(position)s, %(at)s)
on conflict (stream_id) do update
set number = known.number + excluded.number, last_position = excluded.last_position,
    seen_at = excluded.seen_at
"""
_BEAT: LiteralString = """
insert into beat as known (stream_id, beats, beat_at) values (%s, 1, %s)
on conflict (stream_id) do update set beats = known.beats + 1, beat_at = excluded.beat_at
"""


@dataclass
class Visits:
    """Counts events by stream, and pulses in a table of their own; `also` runs with every page."""

    name: str = "visits"
    version: int = 1
    schema: str = "shop"
    tables: Sequence[str] = ("visit", "beat")
    lanes: tuple[int, ...] = (LEDGER_LANE, PULSE_LANE)
    only: Filter = field(default_factory=lambda: Filter(categories=frozenset({"job"})))
    also: LiteralString = ""

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write the rows of a page."""
        async with connection.pipeline():
            for each in page:
                if each.position.lane == PULSE_LANE:
                    await connection.execute(_BEAT, [each.stream_id, each.recorded_at])
                else:
                    await connection.execute(self.statement, _values(each))
        if self.also:
            await connection.execute(self.also)

    @property
    def statement(self) -> LiteralString:
        """What is done for one event."""
        return _VISIT

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget the rows."""
        await connection.execute("truncate visit, beat")


@dataclass
class LongVisits(Visits):
    """The next version: it also knows how long the name of the last event's type is."""

    version: int = 2
    reshape: Sequence[LiteralString] = (
        "alter table visit add column if not exists letters integer not null",
        "create index if not exists visit_by_letters on visit (letters)",
    )

    @property
    def statement(self) -> LiteralString:
        """What is done for one event."""
        return """
        insert into visit as known (stream_id, tenant, number, last_position, seen_at, letters)
        values (%(stream_id)s, %(tenant)s, %(number)s, %(position)s, %(at)s, %(letters)s)
        on conflict (stream_id) do update
        set number = known.number + excluded.number, last_position = excluded.last_position,
            seen_at = excluded.seen_at, letters = excluded.letters
        """


@dataclass
class QuickVisits(Visits):
    """The same rows, gathered in memory."""

    lanes: tuple[int, ...] = (LEDGER_LANE,)

    def bulk_fold(self) -> Gathered:
        """Return an empty fold."""
        return Gathered()


@dataclass
class Gathered:
    """Visits in memory."""

    numbers: Counter[UUID] = field(default_factory=Counter[UUID])
    last: dict[UUID, StoredEvent] = field(default_factory=dict[UUID, "StoredEvent"])

    def fold(self, page: Sequence[StoredEvent]) -> None:
        """Count."""
        for each in page:
            self.numbers[each.stream_id] += 1
            self.last[each.stream_id] = each

    def rows(self) -> Mapping[str, tuple[Sequence[str], Sequence[Sequence[object]]]]:
        """Return the rows."""
        columns = ("stream_id", "tenant", "number", "last_position", "seen_at")
        rows = [
            (stream_id, last.tenant, self.numbers[stream_id], last.position.number, last.recorded_at)
            for stream_id, last in self.last.items()
        ]
        return {"visit": (columns, rows)}


def _values(stored: StoredEvent) -> Mapping[str, object]:
    return {
        "stream_id": stored.stream_id,
        "tenant": stored.tenant,
        "number": 1,
        "position": stored.position.number,
        "at": stored.recorded_at,
        "letters": len(stored.event_type),
    }


@dataclass
class Shop:
    """A store with the read model's tables, and what tests do with them."""

    url: str
    store: PostgresEventStore
    streams: Sequence[UUID] = field(default_factory=lambda: [uuid4() for _ in range(7)])

    def model(self, projection: Rebuildable | None = None) -> ReadModel:
        """Return the read model, as its owner works on it."""
        return ReadModel(self.store, self.url, projection or Visits(), ROLE)

    async def append(self, count: int = 30) -> Position:
        """Append some events and a few pulses, over all streams; return the ledger's head."""
        for number in range(count):
            await self.store.append(append_to(self.streams[number % len(self.streams)]))
        await self.store.append(append_to(category="another"))
        for stream_id in self.streams:
            await self.store.append_pulse(stream_id, "job", TENANT, event())
        return await self.store.head()

    @asynccontextmanager
    async def projecting(self, projection: Visits | None = None) -> AsyncGenerator[Projector]:
        """Run the live projector."""
        projector = Projector(
            self.store, self.url, projection or Visits(), role=ROLE, poll_seconds=0.2, page_max=20
        )
        async with asyncio.timeout(60), projector.running():
            yield projector

    async def caught_up(self, projection: Visits | None = None) -> None:
        """Let the live projector come up to the heads, and end it."""
        async with self.projecting(projection) as projector:
            await covered(self, projector)

    async def rows(self, schema: str = "shop", table: str = "visit") -> list[dict[str, Any]]:
        """Return the rows of a table in their order."""
        query = sql.SQL("select to_jsonb(t) from {} t order by stream_id").format(
            sql.Identifier(schema, table)
        )
        return [row for (row,) in await self.select(query)]

    async def select(
        self, query: LiteralString | sql.Composed, values: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        """Return what a query finds, asked by the owner."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            return await (await connection.execute(query, values or None)).fetchall()

    async def execute(self, *statements: LiteralString) -> None:
        """Execute statements as the owner."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for each in statements:
                await connection.execute(each)

    async def schemas(self) -> list[str]:
        """Return the schemas that rebuilding made."""
        found = await self.select(
            "select nspname from pg_namespace where nspname ~ '^(rebuild|retired|scratch)_' order by 1"
        )
        return [name for (name,) in found]

    async def looks(self, schema: str = "shop") -> list[tuple[Any, ...]]:
        """Return everything that the catalogue says of the tables of a schema, but numbers."""
        return await self.select(_LOOKS, [schema])


@asynccontextmanager
async def open_shop(url: str) -> AsyncGenerator[Shop]:
    """Open an empty store after making the read model's tables."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(TABLES)
    async with PostgresEventStore.open(url) as store:
        yield Shop(url, store)


async def covered(shop: Shop, projector: Projector) -> None:
    """Return when the live rows cover the heads of both lanes."""
    for lane in projector.plan.lanes:
        await projector.wait_until(await shop.store.head(lane), 20)


_LOOKS: LiteralString = """
with shown as (
  select oid, relname, nspname from (
    select c.oid, c.relname, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relkind = 'r' and c.relname in ('visit', 'beat')
  ) as of_schema
)
select relname, 'table', row(relacl::text, reloptions, relrowsecurity, relforcerowsecurity, relpersistence,
                             pg_get_userbyid(relowner), obj_description(oid))::text
from pg_class join shown using (oid, relname)
union all
select relname, 'column', row(attnum, attname, format_type(atttypid, atttypmod), attnotnull, attgenerated,
                              attacl::text, attstorage, pg_get_expr(adbin, adrelid))::text
from shown join pg_attribute on attrelid = oid and attnum > 0
left join pg_attrdef on adrelid = attrelid and adnum = attnum
union all
select relname, 'constraint', row(conname, contype, pg_get_constraintdef(pg_constraint.oid))::text
from shown join pg_constraint on conrelid = shown.oid
union all
select relname, 'index', replace(pg_get_indexdef(indexrelid), nspname || '.', '') from shown
join pg_index on indrelid = oid
union all
select relname, 'policy', row(polname, polcmd, polpermissive, polroles::regrole[]::text,
                              pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))::text
from shown join pg_policy on polrelid = shown.oid
order by 1, 2, 3
"""
