"""`export`: take events out of the log, with the proof that they are what was appended."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from eventstore.archive.opening import open_storage
from eventstore.audit.export import export as export_to
from eventstore.audit.read_record import ReadRecord, operating_system_user, record_read
from eventstore.audit.selection import EventRange, Selected
from eventstore.commands import session
from eventstore.postgres import PostgresEventStore

if TYPE_CHECKING:
    from uuid import UUID

    from eventstore.audit.bundle import Exported

TARGET: Final = click.argument("target", type=click.Path(path_type=Path))
COLD: Final = click.option(
    "--archive",
    "archive_url",
    envvar="EVENTSTORE_ARCHIVE_URL",
    show_envvar=True,
    default="",
    help="Where archived events are: a folder, or an address that the adapter understands.",
)
ADAPTER: Final = click.option(
    "--storage",
    "adapter",
    envvar="EVENTSTORE_ARCHIVE_STORAGE",
    show_envvar=True,
    default="",
    help="The adapter for other addresses than folders, as module:function.",
)


@click.command()
@session.database
@COLD
@ADAPTER
@click.option("--from-position", type=click.IntRange(1), default=1, show_default=True)
@click.option("--to-position", type=click.IntRange(1), help="By default the head of now.")
@click.option("--tenant", type=click.UUID, help="Only the events of this tenant; of all positions.")
@TARGET
def export(
    database: str,
    *,
    archive_url: str,
    adapter: str,
    from_position: int,
    to_position: int | None,
    tenant: UUID | None,
    target: Path,
) -> None:
    """Write a proof bundle to TARGET, a new folder or a .tar file.

    It appears whole or not at all, and holds verify.py, which checks it without a database. That the export
    was made is recorded in the log before.
    """
    wanted = Selected("tenant", tenant) if tenant else EventRange(from_position, to_position)
    run_export(
        Work(
            database=database,
            archive_url=archive_url,
            adapter=adapter,
            wanted=wanted,
            target=target,
            verb="export",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be exported, from where to where, and by which verb."""

    database: str
    archive_url: str
    adapter: str
    wanted: EventRange | Selected
    target: Path
    verb: str

    async def run(self) -> Exported:
        """Export, with a spinner on a terminal."""
        columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            cold = await enter(open_storage(self.archive_url, self.adapter)) if self.archive_url else None
            store = await enter(PostgresEventStore.open(self.database, cold=cold))
            screen = Console(stderr=True)
            progress = stack.enter_context(
                Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
            )
            task = progress.add_task("exporting", total=None)
            return await export_to(
                self.database,
                store,
                self.wanted,
                self.target,
                before_release=lambda exported: record_read(store, self._record(exported)),
                on_progress=lambda count: progress.update(task, completed=count),
            )

    def _record(self, exported: Exported) -> ReadRecord:
        reader = operating_system_user()
        return ReadRecord(reader, self.verb, self.wanted.words, exported.events_count)


def run_export(work: Work) -> None:
    """Export, and say what was written."""
    exported = session.run(work.run())
    click.echo(
        f"{exported.events_count} events under {exported.seals_count} log seals written to {work.target}"
    )
    if exported.unsealed_count:
        click.echo(f"{exported.unsealed_count} of them have no log seal yet")
