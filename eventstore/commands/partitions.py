"""`partitions`: the partitions of both logs, and how far each went towards the archive."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from eventstore.archive.partition_list import HOT, list_partitions, logs_without_room
from eventstore.archive.session import connected
from eventstore.commands import session
from eventstore.commands.ages import Age
from eventstore.connections import READ_ROLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from eventstore.archive.partition_list import PartitionInfo


@click.command()
@session.database
@session.as_json
@click.option("--older-than", type=Age(), default=HOT, help="How long events stay in the database; 90d.")
def partitions(database: str, *, as_json: bool, older_than: timedelta) -> None:
    """List the partitions of both logs: range, state, events, sizes, times, log seals, archive.

    Exit code 1 when a log has no partition ahead: then the next append may be the last one.
    """
    found = session.run(_partitions(database, older_than))
    rows = [asdict(each) for each in found] if as_json else [_row(each) for each in found]
    session.show(rows, as_json=as_json, title="partitions", empty="no partitions")
    for log in logs_without_room(found):
        click.echo(f"error: log {log} has no partition ahead", err=True)
        sys.exit(session.FOUND_WRONG)


async def _partitions(database: str, hot: timedelta) -> Sequence[PartitionInfo]:
    async with connected(database, READ_ROLE) as connection:
        return await list_partitions(connection, hot)


def _row(each: PartitionInfo) -> Mapping[str, object]:
    sealed = f"{100 * each.sealed_events // each.events} %" if each.events and each.log == "event" else ""
    return {
        "log": each.log,
        "range": f"{each.from_position}-{each.to_position}",
        "state": each.state,
        "events": each.events,
        "in_database": session.size(each.bytes),
        "in_storage": session.size(each.archive_bytes),
        "first": f"{each.first_recorded_at:%Y-%m-%d %H:%M}" if each.first_recorded_at else "",
        "last": f"{each.last_recorded_at:%Y-%m-%d %H:%M}" if each.last_recorded_at else "",
        "sealed": sealed,
    }
