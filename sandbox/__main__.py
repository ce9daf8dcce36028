"""Command line: `python -m sandbox` serves; `python -m sandbox catalogue` prints the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import click
from google.protobuf import json_format

from sandbox.catalogue import catalogue, expected
from sandbox.server import serve


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the counter.")
@click.option("--ready-fd", type=int, help="File descriptor for the line that tells the origin.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop when standard input ends.")
@click.option("--slow-seconds", default=3.0, show_default=True, help="How slow the slow site is.")
@click.pass_context
def main(
    context: click.Context,
    *,
    host: str,
    port: int,
    data: Path | None,
    ready_fd: int | None,
    stop_with_stdin: bool,
    slow_seconds: float,
) -> None:
    """Serve nine stand-in web directories and count what they accept."""
    if context.invoked_subcommand is not None:
        return
    if data is None:
        raise click.UsageError("--data is needed: the folder of the counter", context)
    serve(
        host=host,
        port=port,
        folder=data,
        ready_fd=ready_fd,
        ends_with_stdin=stop_with_stdin,
        slow_seconds=slow_seconds,
    )


@main.command("catalogue")
@click.option("--origin", required=True, help="Where the sites are served, such as http://127.0.0.1:8080.")
def print_catalogue(origin: str) -> None:
    """Print the catalogue entries of the nine sites as JSON."""
    click.echo(
        json.dumps(
            {
                "directories": [json_format.MessageToDict(entry) for entry in catalogue(origin)],
                "expected": {name: goal._asdict() for name, goal in expected().items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
