"""`swap`, `back` and `drop-retired`: which of the tables are live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from eventstore.commands import session
from eventstore.rebuild import swap as swapping
from services.projections.commands.opening import open_model, read_model_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from eventstore.rebuild.read_model import ReadModel

patience = click.option(
    "--patience",
    "patience_seconds",
    default=swapping.PATIENCE_SECONDS,
    show_default=True,
    help="Seconds to go on trying while readers hold the tables.",
)


@click.command()
@read_model_name
@session.database
@patience
def swap(name: str, database: str, *, patience_seconds: float) -> None:
    """Let what was built beside read model NAME be the live one.

    It comes up to the live one first, and takes its place in one transaction: readers see the one or the
    other, whole. The tables that were live wait with their checkpoint in a schema `retired_NAME`.
    """
    session.run(_with(database, name, lambda model: swapping.swap(model, patience_seconds=patience_seconds)))
    click.echo(
        f"{name} is live as it was built; `back {name}` undoes it, `drop-retired {name}` makes it final"
    )


@click.command()
@read_model_name
@session.database
@patience
def back(name: str, database: str, *, patience_seconds: float) -> None:
    """Let the tables of read model NAME that a swap retired be live again.

    They go on from their own checkpoint and catch up at once. The others are retired: `back` again undoes it.
    """
    session.run(
        _with(database, name, lambda model: swapping.swap_back(model, patience_seconds=patience_seconds))
    )
    click.echo(f"{name} is live as it was before")


@click.command("drop-retired")
@read_model_name
@session.database
def drop_retired(name: str, database: str) -> None:
    """Drop the tables of read model NAME that a swap retired: there is no way back then."""
    session.run(_with(database, name, swapping.drop_retired))
    click.echo(f"nothing of {name} is retired any more")


async def _with(database_url: str, name: str, work: Callable[[ReadModel], Awaitable[None]]) -> None:
    async with open_model(database_url, name) as model:
        await work(model)
