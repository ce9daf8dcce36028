"""`retention`: keep both logs as long as they are to be kept, and no longer."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from eventstore.archive.opening import open_storage
from eventstore.archive.retention import KEEP, PULSE_KEEP, Retention
from eventstore.commands import session
from eventstore.commands.ages import Age

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta


@click.command()
@session.database
@click.option("--to", "url", envvar="EVENTSTORE_ARCHIVE_URL", show_envvar=True, help="Where the archive is.")
@click.option(
    "--storage",
    "adapter",
    envvar="EVENTSTORE_ARCHIVE_STORAGE",
    show_envvar=True,
    default="",
    help="The adapter for other addresses than folders, as module:function.",
)
@session.as_json
@click.option("--keep", type=Age(), default=KEEP, help="How long archived events are kept; 365d.")
@click.option("--keep-pulses", type=Age(), default=PULSE_KEEP, help="How long pulses are kept; 7d.")
@click.option("--dry-run", is_flag=True, help="Say what archives would be deleted, and change nothing.")
def retention(
    database: str,
    url: str | None,
    adapter: str,
    *,
    as_json: bool,
    keep: timedelta,
    keep_pulses: timedelta,
    dry_run: bool,
) -> None:
    """Create partitions ahead, drop old pulses, and delete archived events whose time is over.

    Without --to nothing archived is deleted. What was deleted is gone: es.archive keeps its range, its end
    hash and its digest, and verification begins after it.
    """
    done = session.run(_kept(database, url, adapter, keep, keep_pulses, dry_run=dry_run))
    session.show(done, as_json=as_json, title="retention", empty="nothing has come to its end")


async def _kept(
    database: str,
    url: str | None,
    adapter: str,
    keep: timedelta,
    keep_pulses: timedelta,
    *,
    dry_run: bool,
) -> Sequence[Mapping[str, object]]:
    async with open_storage(url, adapter) if url else nullcontext() as storage:
        return await _apply(Retention(database, storage), keep, keep_pulses, dry_run=dry_run)


async def _apply(
    kept: Retention, keep: timedelta, keep_pulses: timedelta, *, dry_run: bool
) -> Sequence[Mapping[str, object]]:
    expired = await kept.expired(keep)
    if dry_run:
        return [{"done": "would delete archive", "from_position": each} for each in expired]
    await kept.create_ahead()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for each in progress.track(expired, description="deleting archives"):
            await kept.delete(each, keep)
        pulses = await kept.drop_pulses(keep_pulses)
    return [
        *({"done": "deleted archive", "from_position": each} for each in expired),
        *({"done": "dropped pulses", "from_position": each} for each in pulses),
    ]
