"""`as-of`: a read model as it was."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Any, LiteralString, cast

import click
from psycopg import sql
from psycopg.rows import dict_row

from eventstore.commands import session
from eventstore.rebuild.as_of import positions_at, read_model_as_of
from services.projections.commands.opening import Bar, Instant, LogPosition, open_model, read_model_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from eventstore.rebuild.read_model import ReadModel
    from eventstore.types import Position

    Rows = Sequence[Mapping[str, Any]]


@click.command("as-of")
@read_model_name
@session.database
@click.option("--at", type=Instant(), help="An instant, like 2026-11-23T14:05:00Z.")
@click.option("--position", type=LogPosition(), help="A position: a token, a number, or lane:number.")
@click.option("--table", default="", help="One of its tables; else its first.")
@click.option("--query", default="", help="SQL instead of a whole table; its tables have no schema there.")
@session.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def as_of(
    name: str,
    database: str,
    *,
    at: datetime | None,
    position: Position | None,
    table: str,
    query: str,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show read model NAME as it was at an instant or a position.

    It is built from the log, by the code of this release, in a schema of its own that is dropped afterwards.
    """
    moment = at or position
    if moment is None or (at and position):
        raise click.UsageError("say --at or --position")
    rows = session.run(_rows(database, name, moment, table, query))
    if as_csv:
        _print_csv(rows)
    else:
        session.show(rows, as_json=as_json, title=f"{name} as of {moment}", empty="there were no rows")


async def _rows(database_url: str, name: str, moment: Position | datetime, table: str, query: str) -> Rows:
    bar = Bar.make()
    async with open_model(database_url, name) as model:
        wanted = _query(model, table, query)
        positions = await positions_at(model, moment)
        with bar.progress:
            async with read_model_as_of(model, positions, bar.show) as connection:
                return await _found(connection, wanted)


def _query(model: ReadModel, table: str, query: str) -> sql.SQL | sql.Composed:
    tables = model.projection.tables
    if table and table not in tables:
        raise click.UsageError(f"{model.name} has no table '{table}', but {', '.join(tables)}")
    if query:
        # The operator's own words, in a role that can read this copy and nothing else.
        return sql.SQL(cast("LiteralString", query))
    return sql.SQL("select * from {} order by 1").format(sql.Identifier(table or tables[0]))


async def _found(connection: AsyncConnection[Any], query: sql.SQL | sql.Composed) -> Rows:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(query)
    return [
        {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
        for row in await cursor.fetchall()
    ]


def _print_csv(rows: Rows) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
