"""`rebuild` and `abandon`: build a read model beside the live one, or drop what was built."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from eventstore.commands import session
from eventstore.rebuild.rebuild import abandon as abandon_rebuilt
from eventstore.rebuild.rebuild import rebuild as rebuild_beside
from services.projections.commands.opening import Bar, open_model, read_model_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@read_model_name
@session.database
@session.as_json
@click.option("--again", is_flag=True, help="Begin at the beginning, although something is built already.")
def rebuild(name: str, database: str, *, as_json: bool, again: bool) -> None:
    """Build read model NAME from the whole log, beside the live one, which goes on meanwhile.

    \b
    Killed in the middle, it goes on when it is called again; built already, it catches up. Then:
      diff NAME    compare with the live one, row by row
      swap NAME    take its place, in one transaction
      back NAME    and back, as long as the retired tables are there

    The code of this release is what builds: for a changed projection, run it from the new release before the
    services are updated. Its services stand by until the swap.
    """  # noqa: D301  # click wants the character itself: it keeps the lines after it apart
    done = session.run(_rebuilt(database, name, again=again))
    session.show([done], as_json=as_json, title="built beside the live one", empty="")


@click.command()
@read_model_name
@session.database
def abandon(name: str, database: str) -> None:
    """Drop what was built beside read model NAME; the live one does not notice."""
    session.run(_abandoned(database, name))
    click.echo(f"nothing is built beside {name} any more")


async def _rebuilt(database_url: str, name: str, *, again: bool) -> Mapping[str, object]:
    bar, began = Bar.make(), time.monotonic()
    async with open_model(database_url, name) as model:
        if again:
            await abandon_rebuilt(model)
        with bar.progress:
            positions = await rebuild_beside(model, bar.show)
    seconds = time.monotonic() - began
    return {
        "name": name,
        "version": model.projection.version,
        "position": " ".join(f"{lane}:{number}" for lane, number in sorted(positions.items(), reverse=True)),
        "seconds": round(seconds, 1),
        "next": f"python -m services.projections diff {name}",
    }


async def _abandoned(database_url: str, name: str) -> None:
    async with open_model(database_url, name) as model:
        await abandon_rebuilt(model)
