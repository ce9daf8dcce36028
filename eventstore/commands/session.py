"""What every verb of the command shares: the database, one sentence for an error, tables and JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import psycopg
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from eventstore.errors import EventStoreError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

T = TypeVar("T")

FOUND_WRONG: Final = 1
FAILED: Final = 3

database = click.option(
    "--database",
    envvar="DATABASE_URL",
    show_envvar=True,
    required=True,
    help="The database, as a Postgres URL.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a verb's work; what the store or the database refuses ends the command with one sentence."""
    try:
        return asyncio.run(work)
    except (EventStoreError, psycopg.Error, OSError) as error:
        sentence = " ".join(str(error).split()) or type(error).__name__
        click.echo(f"error: {sentence}", err=True)
        sys.exit(FAILED)


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, title: str, empty: str) -> None:
    """Print rows of the same keys: a table for people, a JSON array for programs."""
    if as_json:
        click.echo(json.dumps(list(rows), default=str, indent=2))
    elif not rows:
        click.echo(empty)
    else:
        Console().print(_table(rows, title))


def size(count_bytes: int | None) -> str:
    """Return a number of bytes as people read it."""
    return decimal(count_bytes) if count_bytes else ""


def _table(rows: Sequence[Mapping[str, object]], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key.replace("_", " "))
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table
