"""`migrate`: bring a database up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from eventstore.commands import session
from eventstore.connections import connect
from eventstore.migrate import migrate as apply_migrations
from eventstore.migrate import pending

if TYPE_CHECKING:
    from typing import LiteralString

_IS_MADE: Final[LiteralString] = "select to_regclass('es.setting') is not null"
_LANES: Final[LiteralString] = "select lanes from es.setting"


@click.command()
@session.database
@click.option("--dry-run", is_flag=True, help="Only say what would be applied.")
@click.option(
    "--lanes", type=click.IntRange(1, 1024), help="Lanes of a new store's ledger, for ever; one by default."
)
def migrate(database: str, *, dry_run: bool, lanes: int | None) -> None:
    """Create the store in a database, or bring it up to date; twice is no error.

    Services may go on meanwhile, those of the release before included. A database that a later release has
    migrated is refused.
    """
    if dry_run:
        for each in session.run(pending(database)):
            click.echo(f"would apply {each.label}: {each.title}")
        return
    settings = {} if lanes is None else {"lanes": str(lanes)}
    found = None if lanes is None else session.run(_lanes(database))
    if found not in (None, lanes):
        raise click.UsageError(f"the ledger was made with {found} lanes; that cannot be changed")
    for each in session.run(apply_migrations(database, settings=settings, tell=_tell)):
        click.echo(f"applied {each.label}")
    click.echo("the database is up to date")


async def _lanes(database: str) -> int | None:
    """Return how many lanes the store has; None when there is no store yet."""
    async with await connect(database, None, "migrate") as connection:
        made = await (await connection.execute(_IS_MADE)).fetchone()
        if made != (True,):
            return None
        row = await (await connection.execute(_LANES)).fetchone()
        return row[0] if row else None


def _tell(line: str) -> None:
    click.echo(line, err=True)
