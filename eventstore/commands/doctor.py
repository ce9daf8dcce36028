"""`doctor`: examine a store's database, and say what is wrong and what to do."""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from eventstore.archive.opening import open_storage
from eventstore.care.check import Severity
from eventstore.care.examination import examine
from eventstore.commands import session
from eventstore.commands.archive import adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventstore.care.examination import Examined


@click.command()
@session.database
@session.as_json
@click.option(
    "--archive",
    "url",
    envvar="EVENTSTORE_ARCHIVE_URL",
    show_envvar=True,
    default="",
    help="Where archived partitions are: whether their objects are there is looked at, too.",
)
@adapter
@click.option("--deep", is_flag=True, help="Look at the whole log, and recompute its chain: takes long.")
def doctor(database: str, url: str, adapter: str, *, as_json: bool, deep: bool) -> None:
    """Check every invariant of the store; says what is wrong, where, and what to do next.

    It only reads, as a role that can do nothing else. Without --deep it looks at the last 100,000 events of
    each lane. Exit code 1 when something is wrong; advice alone is no fault.
    """
    examined = session.run(_examined(database, url, adapter, deep=deep))
    rows = [row for each in examined for row in _rows(each)]
    session.show(rows, as_json=as_json, title="findings", empty=f"{len(examined)} checks, nothing found")
    if any(row["severity"] == Severity.WRONG.value for row in rows):
        sys.exit(session.FOUND_WRONG)


async def _examined(database: str, url: str, adapter: str, *, deep: bool) -> Sequence[Examined]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    found: list[Examined] = []
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(open_storage(url, adapter)) if url else None
        progress = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = progress.add_task("examining")
        async for each in examine(database, deep=deep, workers=os.cpu_count() or 1, storage=storage):
            found.append(each)
            progress.update(task, description=f"{each.question} {len(each.findings) or 'nothing'} found")
    return found


def _rows(examined: Examined) -> Sequence[Mapping[str, str]]:
    return [
        {
            "severity": each.severity.value,
            "check": examined.name,
            "what": each.what,
            "where": each.where,
            "what_to_do": each.to_do,
        }
        for each in examined.findings
    ]
