"""`directorybolt`: show the mesh, run it, order listings, and look at what happens."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from google.protobuf import json_format
from grpc.aio import AioRpcError
from rich.console import Console

from services.cli import explain as story
from services.cli import running
from services.cli.demo import Wishes, run_demo
from services.cli.errors import explain
from stack.errors import StackError, StartFailed
from stack.state import fresh_run, state_root

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="directorybolt")
def cli() -> None:
    """Submit business profiles to web directories, once each, and prove it.

    \b
    directorybolt demo                          see a whole job travel, with everything embedded
    directorybolt up                            keep the mesh running for development
    directorybolt submit profile.json --watch   order listings from a running mesh
    directorybolt explain jobs/ID               tell how a job came to be what it is
    """  # noqa: D301  # click wants the character itself: it keeps the lines after it apart


@cli.command()
@click.option("--chaos", is_flag=True, help="Kill a worker in mid-form, and watch the rescue.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
@click.option("--keep-at", type=click.Path(path_type=Path), help="Directory for data, logs and proof.")
@click.option("--stay", is_flag=True, help="Keep everything running in the end, to look around.")
def demo(*, chaos: bool, workers: int, keep_at: Path | None, stay: bool) -> None:
    """Start everything, run one job through nine sandbox directories, show what came of it.

    Exit code 0 only if every submission reached the outcome that its site calls for, and the sites' own
    counters agree.
    """
    directory = keep_at or fresh_run(state_root(), "demo")
    raise SystemExit(_run(run_demo(Console(), directory, Wishes(chaos, workers, stay))))


@cli.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
@click.option("--gateway", is_flag=True, help="Append through a gateway, as a large fleet would.")
def up(*, workers: int, gateway: bool) -> None:
    """Keep the mesh running, with its data, until Ctrl-C."""
    raise SystemExit(_run(running.keep_up(Console(), state_root() / "up", workers, gateway=gateway)))


@cli.command()
@click.argument("profile", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--watch", is_flag=True, help="Follow the job to its end.")
@click.option("--directory", "directories", multiple=True, help="Directory id; repeat it. None: by package.")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def submit(*, profile: Path, watch: bool, directories: tuple[str, ...], as_json: bool) -> None:
    """Order a business PROFILE (JSON) to be listed, by the mesh that `directorybolt up` keeps running.

    Exit code 1 when a watched job ended with a dead letter or a refusal; 2 when the file is no profile.
    """
    order = running.Order(profile, directories, watch=watch, as_json=as_json)
    raise SystemExit(_run(running.submit(Console(), state_root() / "up", order)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def health(*, as_json: bool) -> None:
    """Say how the running mesh is; exit code 1 when it is unhealthy."""
    raise SystemExit(_run(_health(Console(), as_json=as_json)))


async def _health(console: Console, *, as_json: bool) -> int:
    async with running.connect_as_staff(state_root() / "up", "monitor") as connection:
        answer = await connection.health()
    if as_json:
        fields: dict[str, Any] = json_format.MessageToDict(answer, preserving_proto_field_name=True)
        click.echo(json.dumps(fields, indent=2))
    else:
        console.print(
            f"score {answer.score}, {answer.workers_alive} workers, {answer.alerts_open} alerts open"
        )
        for part in answer.parts:
            console.print(f"  {part.part:<24} {part.detail}", highlight=False)
    return 1 if answer.state == running.UNHEALTHY else 0


@cli.command("explain")
@click.argument("name")
@click.option("--at", type=story.Instant(), help="As it was at an instant, like 2026-11-23T14:05:00Z.")
@click.option("--position", default="", help="As it was at a position, by its token.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def explain_state(*, name: str, at: datetime | None, position: str, as_json: bool) -> None:
    """Tell how NAME came to be what it is, event by event: jobs/ID with its submissions, or submissions/ID.

    Each event is shown with its time, who did it, its trace, and what it changed. With --at or --position it
    is told as it was then. Of a state that seems wrong: the last event before it says who decided what.
    """
    raise SystemExit(_run(_explain(Console(), name, at, position, as_json=as_json)))


async def _explain(console: Console, name: str, at: datetime | None, position: str, *, as_json: bool) -> int:
    async with running.connect_as_staff(state_root() / "up", "monitor") as connection:
        answer = await story.explain(connection, name, at=at, position=position)
    story.show(console, answer, as_json=as_json)
    return 0


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end; turn what a person can mend into one sentence."""
    try:
        return asyncio.run(work)
    except StartFailed as error:
        click.echo(f"{error}\n{error.log_tail}", err=True)
    except StackError as error:
        click.echo(str(error), err=True)
    except AioRpcError as error:
        click.echo(explain(error), err=True)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)
        return INTERRUPTED
    return 1


def main() -> None:
    """Run the command."""
    cli(prog_name="directorybolt")


if __name__ == "__main__":
    sys.exit(main())
