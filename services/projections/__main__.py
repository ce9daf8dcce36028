"""The command `python -m services.projections`: the read models, and what operators do with them."""

from __future__ import annotations

import click

from services.projections.commands.as_of import as_of
from services.projections.commands.diff import diff
from services.projections.commands.listing import list_
from services.projections.commands.migrate import migrate
from services.projections.commands.rebuild import abandon, rebuild
from services.projections.commands.swap import back, drop_retired, swap


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Look after the read models: tables that follow from the log, and can be built from it again.

    \b
    rebuild NAME       build it anew beside the live one
    diff NAME          is it the same?
    swap NAME          let it take the live one's place
    back NAME          undo that
    drop-retired NAME  make it final

    Exit codes: 0 done; 1 a difference was found; 2 the command was not understood; 3 the store or the
    database refused.
    """  # noqa: D301  # click wants the character itself: it keeps the lines after it apart


for each in (migrate, list_, rebuild, diff, swap, back, drop_retired, abandon, as_of):
    cli.add_command(each)


if __name__ == "__main__":
    cli(prog_name="python -m services.projections")
