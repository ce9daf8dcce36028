"""`diff`: compare the live read model with the one that was built beside it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from eventstore.commands import session
from eventstore.rebuild.difference import ROWS_MAX, Difference, compare
from services.projections.commands.opening import open_model, read_model_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventstore.rebuild.table_difference import RowDifference, TableDifference


@click.command()
@read_model_name
@session.database
@session.as_json
@click.option("--rows", "rows_max", default=ROWS_MAX, show_default=True, help="Rows to show of each table.")
def diff(name: str, database: str, *, as_json: bool, rows_max: int) -> None:
    """Compare live read model NAME with what was built beside it, at one and the same position.

    The live one stands still for the moment in which a snapshot of both is taken. Exit code 0 when every row
    is the same, 1 when not: then the first rows that differ are shown, with both values.
    """
    found = session.run(_compared(database, name, rows_max))
    if as_json:
        click.echo(json.dumps(_as_json(found), default=str, indent=2))
    else:
        _print(Console(), found)
    sys.exit(0 if found.same else session.FOUND_WRONG)


async def _compared(database_url: str, name: str, rows_max: int) -> Difference:
    async with open_model(database_url, name) as model:
        return await compare(model, rows_max=rows_max)


def _print(console: Console, found: Difference) -> None:
    at = ", ".join(f"lane {lane} at {number}" for lane, number in sorted(found.positions.items()))
    summary = Table(title=f"live and rebuilt, {at}", title_justify="left")
    for column in ("table", "rows live", "rows rebuilt", "digest live", "digest rebuilt", "same"):
        summary.add_column(column)
    for each in found.tables:
        counts = (f"{each.live_count:,}", f"{each.rebuilt_count:,}")
        same = "yes" if each.same else "[red]no"
        summary.add_row(each.table, *counts, each.live_digest[:12], each.rebuilt_digest[:12], same)
    console.print(summary)
    for each in found.tables:
        for words in _words(each):
            console.print(words, highlight=False, markup=False, soft_wrap=True)


def _words(table: TableDifference) -> Iterator[str]:
    for side, columns in (("live", table.columns_only_live), ("rebuilt", table.columns_only_rebuilt)):
        if columns:
            yield f"{table.table}: only {side} has {', '.join(columns)}"
    for row in table.rows:
        yield f"{table.table} {_key(row)}" + (f": only {row.only_in}" if row.only_in else "")
        for column, (live, rebuilt) in row.columns.items():
            if not row.only_in:
                yield f"    {column}: {live!r} live, {rebuilt!r} rebuilt"


def _key(row: RowDifference) -> str:
    return " ".join(f"{name}={value}" for name, value in row.key.items())


def _as_json(found: Difference) -> Mapping[str, object]:
    return {
        "same": found.same,
        "positions": found.positions,
        "tables": [
            {
                "table": each.table,
                "same": each.same,
                "rows_live": each.live_count,
                "rows_rebuilt": each.rebuilt_count,
                "digest_live": each.live_digest,
                "digest_rebuilt": each.rebuilt_digest,
                "columns_only_live": each.columns_only_live,
                "columns_only_rebuilt": each.columns_only_rebuilt,
                "rows": [
                    {"key": row.key, "only_in": row.only_in, "columns": row.columns} for row in each.rows
                ],
            }
            for each in found.tables
        ],
    }
