"""`migrate`: bring a database up to date."""

from __future__ import annotations

import click

from eventstore.commands import session
from services.projections.migration import migrate as apply_migrations


@click.command()
@session.database
def migrate(database: str) -> None:
    """Create roles, operational tables and read models, or bring them up to date; twice is no error.

    The event store comes first: `python -m eventstore migrate`.
    """
    for each in session.run(apply_migrations(database)):
        click.echo(f"applied {each}")
    click.echo("the database is up to date")
