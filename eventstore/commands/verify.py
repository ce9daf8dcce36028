"""`verify`: look whether the log is what it was."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore.audit.log_seal import key_id
from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.seal_signer import public_key_of_text
from eventstore.audit.verify_log import verify_log
from eventstore.commands import session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventstore.audit.verdict import LogVerdict
    from eventstore.audit.verify_log import Progress as Done

seals_option = click.option(
    "--seals",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder where log seals are kept outside of the database: what lies there counts.",
)


def pinned(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> frozenset[bytes]:
    """Read public keys, each as hexadecimal digits or as the name of a file that holds them."""
    try:
        return frozenset(
            public_key_of_text(Path(each).read_text(encoding="ascii") if Path(each).is_file() else each)
            for each in given
        )
    except (OSError, ValueError) as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@session.database
@session.as_json
@seals_option
@click.option(
    "--public-key",
    "keys",
    multiple=True,
    callback=pinned,
    help="A key that may have signed, as digits or a file that holds them; may be given several times.",
)
@click.option(
    "--from-position", type=click.IntRange(1), default=1, help="Begin at the seal over this position."
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=os.cpu_count() or 1,
    show_default="one per processor",
    help="Processes side by side; 0 works in this one.",
)
def verify(
    database: str,
    *,
    as_json: bool,
    seals: Path | None,
    keys: frozenset[bytes],
    from_position: int,
    workers: int,
) -> None:
    """Check chain, order, log seals and signatures of the whole log.

    Without --seals a log that was rewritten together with its seals cannot be told from the true one, and
    without --public-key neither can one that somebody else signed. Exit code 1 when something does not fit.
    """
    verdict = session.run(
        _verified(
            database,
            seals=DirectorySealArchive(seals) if seals else None,
            keys=keys,
            from_position=from_position,
            workers=workers,
        )
    )
    if as_json:
        click.echo(json.dumps(as_fields(verdict), indent=2))
    else:
        _say(verdict)
    if not verdict.intact:
        sys.exit(session.FOUND_WRONG)


async def _verified(
    database: str,
    *,
    seals: DirectorySealArchive | None,
    keys: frozenset[bytes],
    from_position: int,
    workers: int,
) -> LogVerdict:
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)

        def _show(done: Done) -> None:
            progress.update(task, completed=done.events_done, total=done.events_total)

        return await verify_log(
            database, seals=seals, keys=keys, from_position=from_position, workers=workers, on_progress=_show
        )


def as_fields(verdict: LogVerdict) -> Mapping[str, object]:
    """Return a verdict as JSON has it."""
    return {
        "intact": verdict.intact,
        "events_count": verdict.events_count,
        "seals_count": verdict.seals_count,
        "archived_events_count": verdict.archived_events_count,
        "lanes": [
            {"lane": lane, "head": head, "sealed_to": verdict.sealed[lane]}
            for lane, head in verdict.heads.items()
        ],
        "public_keys": sorted(key.hex() for key in verdict.keys),
        "end_recorded_at": verdict.end_recorded_at.isoformat() if verdict.end_recorded_at else None,
        "findings": [
            {
                "check": each.check.value,
                "lane": each.lane,
                "from_position": each.from_position,
                "to_position": each.to_position,
                "seal_number": each.seal_number,
                "words": each.words,
            }
            for each in verdict.findings
        ],
    }


def _say(verdict: LogVerdict) -> None:
    for each in verdict.findings:
        click.echo(f"{each.check.value}: {each.words}")
    keys = ", ".join(sorted(map(key_id, verdict.keys))) or "nobody"
    click.echo(f"{verdict.events_count} events, {verdict.seals_count} log seals, signed by {keys}")
    if verdict.archived_events_count:
        click.echo(f"{verdict.archived_events_count} events are archived: only their seals were checked")
    for lane, head in verdict.heads.items():
        click.echo(f"lane {lane}: up to position {head}, sealed up to {verdict.sealed[lane]}")
    click.echo("the log is whole" if verdict.intact else "THE LOG IS NOT WHAT IT WAS")
