"""`migrate`: bring a database up to date."""

from __future__ import annotations

import click

from eventstore.commands import session
from eventstore.migrate import migrate as apply_migrations


@click.command()
@session.database
def migrate(database: str) -> None:
    """Create the store in a database, or bring it up to date; twice is no error."""
    for each in session.run(apply_migrations(database)):
        click.echo(f"applied {each.number:04}_{each.name}")
    click.echo("the database is up to date")
