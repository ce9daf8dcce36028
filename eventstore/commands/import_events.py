"""`import`: append the events of a file, whole histories at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore.appending.import_events import EVENTS_PER_CHUNK, Imported, ImportRefused, import_events
from eventstore.appending.import_lines import count_lines, read_lines
from eventstore.commands import session

if TYPE_CHECKING:
    from typing import TypeAlias

    Outcome: TypeAlias = Imported | ImportRefused


_HELP: Final = """Append the events of an NDJSON FILE, one JSON object a line, in their order.

\b
Needed:    stream_id, tenant, event_id   UUIDs
           category, event_type          1 to 100 characters
           payload                       base64
Optional:  expected                      "any" (default) or "no stream"
           schema_version                a number, 1 if not given
           correlation_id, causation_id  UUIDs
           trace_parent, actor           text
           ignorable                     true: readers may pass the type over

Run again, it passes over what stands already, by event id: after a break, start it once more. When a
line does not fit, the command names it; the chunks before it stay. An event's time in the store is the
time of the import: when the thing happened belongs into the payload.
"""


@click.command(name="import", help=_HELP)
@session.database
@session.as_json
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--chunk",
    "events_per_chunk",
    type=click.IntRange(1, 100_000),
    default=EVENTS_PER_CHUNK,
    show_default=True,
    help="How many events are appended at once; other writers wait that long.",
)
def import_file(database: str, file: Path, events_per_chunk: int, *, as_json: bool) -> None:
    """Append the events of a file; what it looks like stands in the help."""
    outcome = session.run(_imported(database, file, events_per_chunk, quiet=as_json))
    if isinstance(outcome, ImportRefused):
        click.echo(f"error: line {outcome.number}: {outcome.reason}", err=True)
        sys.exit(session.FAILED)
    if as_json:
        click.echo(json.dumps({"imported": outcome.events_count, "passed_over": outcome.passed_over}))
    else:
        click.echo(f"{outcome.events_count} events imported, {outcome.passed_over} stood already")


async def _imported(database: str, file: Path, events_per_chunk: int, *, quiet: bool) -> Outcome:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("events", total=count_lines(file))

        def show(imported: Imported) -> None:
            bar.update(task, completed=imported.appends_count)

        try:
            return await import_events(
                database, read_lines(file), events_per_chunk=events_per_chunk, progress=show
            )
        except ImportRefused as refused:
            return refused
