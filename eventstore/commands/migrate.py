"""`migrate`: bring a database up to date."""

from __future__ import annotations

import click

from eventstore.commands import session
from eventstore.migrate import migrate as apply_migrations
from eventstore.migrate import pending


@click.command()
@session.database
@click.option("--dry-run", is_flag=True, help="Only say what would be applied.")
def migrate(database: str, *, dry_run: bool) -> None:
    """Create the store in a database, or bring it up to date; twice is no error.

    Services may go on meanwhile, those of the release before included. A database that a later release has
    migrated is refused.
    """
    if dry_run:
        for each in session.run(pending(database)):
            click.echo(f"would apply {each.label}: {each.title}")
        return
    for each in session.run(apply_migrations(database, tell=_tell)):
        click.echo(f"applied {each.label}")
    click.echo("the database is up to date")


def _tell(line: str) -> None:
    click.echo(line, err=True)
