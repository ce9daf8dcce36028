"""`prove`: the proof of one event, one stream or one job, to be checked offline by anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from eventstore.audit.selection import Selected
from eventstore.commands import session
from eventstore.commands.export import ADAPTER, COLD, TARGET, Work, run_export

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID


@click.command()
@session.database
@COLD
@ADAPTER
@click.option("--event", type=click.UUID, help="The event with this id.")
@click.option("--stream", type=click.UUID, help="Every event of this stream.")
@click.option(
    "--job", type=click.UUID, help="Every event with this correlation id, and the stream of that id."
)
@TARGET
def prove(
    database: str,
    *,
    archive_url: str,
    adapter: str,
    event: UUID | None,
    stream: UUID | None,
    job: UUID | None,
    target: Path,
) -> None:
    """Write a proof bundle of an event, a stream or a job to TARGET, a new folder or a .tar file.

    Events that have no log seal yet cannot be proven: wait a minute, and prove them again.
    """
    given = [
        *([Selected("event", event)] if event else []),
        *([Selected("stream", stream)] if stream else []),
        *([Selected("correlation", job)] if job else []),
    ]
    if len(given) != 1:
        raise click.UsageError("name one of --event, --stream and --job")
    run_export(
        Work(
            database=database,
            archive_url=archive_url,
            adapter=adapter,
            wanted=given[0],
            target=target,
            verb="prove",
        )
    )
