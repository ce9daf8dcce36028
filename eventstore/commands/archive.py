"""`archive`: move old partitions to object storage, look how the archive is, bring partitions back."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore.archive.archived import unrecorded
from eventstore.archive.archiver import Archiver, Step
from eventstore.archive.opening import open_storage
from eventstore.archive.partition_list import HOT, list_partitions
from eventstore.archive.restore import Restorer
from eventstore.archive.session import connected
from eventstore.archive.speed import measure_reads
from eventstore.commands import session
from eventstore.commands.ages import Age
from eventstore.connections import READ_ROLE
from eventstore.postgres import PostgresEventStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from rich.progress import TaskID

    from eventstore.archive.archiver import Progress as Archiving
    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.archive.speed import ReadSpeed

storage = click.option(
    "--to",
    "url",
    envvar="EVENTSTORE_ARCHIVE_URL",
    show_envvar=True,
    required=True,
    help="Where archived partitions are: a folder, or an address that the adapter understands.",
)
adapter = click.option(
    "--storage",
    "adapter",
    envvar="EVENTSTORE_ARCHIVE_STORAGE",
    show_envvar=True,
    default="",
    help="The adapter for other addresses than folders, as module:function.",
)
_BEFORE_DATABASE_LETS_GO: Final = {Step.EXPORTING: "reading", Step.READING_BACK: "reading back"}


@dataclass(frozen=True, slots=True)
class ArchivedFigures:
    """What archiving a partition came to."""

    from_position: int
    to_position: int
    events: int
    bytes_in_database: int
    bytes_in_storage: int
    seconds: float
    events_per_second: int


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--database", envvar="DATABASE_URL", show_envvar=True, help="The database, as a Postgres URL.")
@click.option("--to", "url", envvar="EVENTSTORE_ARCHIVE_URL", show_envvar=True, help="Where to put them.")
@adapter
@session.as_json
@click.option("--older-than", type=Age(), default=HOT, help="How long events stay in the database; 90d.")
@click.option("--dry-run", is_flag=True, help="Say what would be archived, and change nothing.")
def archive(
    context: click.Context,
    database: str | None,
    url: str | None,
    adapter: str,
    *,
    as_json: bool,
    older_than: timedelta,
    dry_run: bool,
) -> None:
    """Move full partitions whose events are all old enough to object storage.

    Each is verified against its chain and log seals, stored, read back and verified again before the database
    lets go of it; reads find its events there from then on. Cut off at any point, the next run goes on.
    """
    if context.invoked_subcommand is not None:
        return
    if not database or not url:
        raise click.UsageError("--database and --to are needed")
    if dry_run:
        due = session.run(_due(database, url, adapter, older_than))
        rows = [asdict(each) for each in due]
        session.show(rows, as_json=as_json, title="to be archived", empty="nothing is to be archived")
        return
    done = session.run(_archive(database, url, adapter, older_than))
    session.show(
        [asdict(each) for each in done], as_json=as_json, title="archived", empty="nothing was to be archived"
    )


@archive.command()
@session.database
@storage
@adapter
@session.as_json
@click.option("--events", default=20_000, show_default=True, help="How many events to read of each kind.")
def status(database: str, url: str, adapter: str, *, as_json: bool, events: int) -> None:
    """Say how much is hot and how much archived, and measure how fast both are read."""
    hot_and_cold, left_behind = session.run(_measured(database, url, adapter, events))
    rows = [asdict(each) for each in hot_and_cold]
    session.show(rows, as_json=as_json, title="hot and archived events", empty="there are no events")
    for name in left_behind:
        click.echo(f"note: nothing recorded consists of {name}", err=True)


@archive.command()
@session.database
@storage
@adapter
@session.as_json
@click.option("--from-position", required=True, type=int, help="The first position that is wanted back.")
@click.option("--hold", type=Age(), default="7d", show_default=True, help="How long it is to stay.")
def restore(
    database: str, url: str, adapter: str, *, as_json: bool, from_position: int, hold: timedelta
) -> None:
    """Bring archived partitions back into the database, for heavy replays; the newest comes first.

    The objects stay where they are: when the time is over, the next archiving only lets go of the partitions.
    """
    done = session.run(_restore(database, url, adapter, from_position, hold))
    rows = [asdict(each) for each in done]
    session.show(rows, as_json=as_json, title="restored", empty="nothing from there on is archived")


async def _restore(
    database: str, url: str, adapter: str, from_position: int, hold: timedelta
) -> Sequence[PartitionInfo]:
    async with open_storage(url, adapter) as cold, PostgresEventStore.open(database, cold=cold) as store:
        restorer = Restorer(store, database)
        archived = [
            each
            for each in await _partitions(database)
            if each.state == "archived" and each.to_position >= from_position
        ]
        with _progress() as progress:
            for each in reversed(archived):
                bar = progress.add_task(f"restoring {each.from_position}", total=each.events)
                await restorer.restore(each, hold, partial(progress.advance, bar))
    restored = {each.from_position for each in archived}
    now = await _partitions(database)
    return [each for each in now if each.log == "event" and each.from_position in restored]


async def _due(database: str, url: str, adapter: str, hot: timedelta) -> Sequence[PartitionInfo]:
    async with open_storage(url, adapter) as cold, PostgresEventStore.open(database, cold=cold) as store:
        return await Archiver(store, database, cold).due(hot)


async def _archive(database: str, url: str, adapter: str, hot: timedelta) -> Sequence[ArchivedFigures]:
    done: list[ArchivedFigures] = []
    with _progress() as progress:
        async with open_storage(url, adapter) as cold, PostgresEventStore.open(database, cold=cold) as store:
            archiver = Archiver(store, database, cold, told=_bar(progress))
            for each in await archiver.due(hot):
                began = time.perf_counter()
                await archiver.archive(each)
                done.append(await _figures(database, each, time.perf_counter() - began))
    return done


async def _measured(
    database: str, url: str, adapter: str, events: int
) -> tuple[Sequence[ReadSpeed], Sequence[str]]:
    async with open_storage(url, adapter) as cold, PostgresEventStore.open(database, cold=cold) as store:
        async with connected(database, READ_ROLE) as connection:
            left_behind = await unrecorded(connection, cold)
        return await measure_reads(store, await _partitions(database), events), left_behind


async def _figures(database: str, partition: PartitionInfo, seconds: float) -> ArchivedFigures:
    found = {each.from_position: each for each in await _partitions(database) if each.log == "event"}
    return ArchivedFigures(
        from_position=partition.from_position,
        to_position=partition.to_position,
        events=partition.events,
        bytes_in_database=partition.bytes,
        bytes_in_storage=found[partition.from_position].archive_bytes or 0,
        seconds=round(seconds, 3),
        events_per_second=round(partition.events / seconds),
    )


async def _partitions(database: str) -> Sequence[PartitionInfo]:
    async with connected(database, READ_ROLE) as connection:
        return await list_partitions(connection)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _bar(progress: Progress) -> Callable[[Archiving], None]:
    bars: dict[tuple[int, Step], TaskID] = {}

    def _told(archiving: Archiving) -> None:
        partition, step = archiving.partition, archiving.step
        if step not in _BEFORE_DATABASE_LETS_GO:
            return
        key = (partition.from_position, step)
        if key not in bars:
            what = f"{_BEFORE_DATABASE_LETS_GO[step]} {partition.from_position} to {partition.to_position}"
            bars[key] = progress.add_task(what, total=partition.events)
        progress.update(bars[key], completed=archiving.events_done)

    return _told
