"""The command `python -m eventstore`: what operators and auditors do with a store's database."""

from __future__ import annotations

import click

from eventstore.commands.archive import archive
from eventstore.commands.doctor import doctor
from eventstore.commands.erasure import erasure
from eventstore.commands.export import export
from eventstore.commands.import_events import import_file
from eventstore.commands.log_seals import log_seals
from eventstore.commands.migrate import migrate
from eventstore.commands.parked import parked
from eventstore.commands.partitions import partitions
from eventstore.commands.projections import projections
from eventstore.commands.prove import prove
from eventstore.commands.retention import retention
from eventstore.commands.vault import vault
from eventstore.commands.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Look after an event store in Postgres.

    Exit codes: 0 done; 1 something is wrong with the store, and it was said what; 2 the command was not
    understood; 3 the store or the database refused.
    """


for each in (
    archive,
    doctor,
    erasure,
    export,
    import_file,
    log_seals,
    migrate,
    parked,
    partitions,
    projections,
    prove,
    retention,
    vault,
    verify,
):
    cli.add_command(each)


if __name__ == "__main__":
    cli(prog_name="python -m eventstore")
