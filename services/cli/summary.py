"""What a finished job shows for itself: outcomes, counters, proof, history, health, and what to try next."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from services.cli.connection import connect
from services.cli.words import last_part, word_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from directorybolt.event.v1.event_pb2 import Event
    from directorybolt.job.v1.job_pb2 import Submission
    from rich.console import Console

    from services.cli.connection import Connection
    from stack.mesh import Mesh


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one directory, beside what should have."""

    submission: Submission
    expected_state: int
    expected_count: int
    #: POSTs that the site itself says it has accepted.
    count: int
    proofs: Sequence[Path]

    @property
    def as_expected(self) -> bool:
        """True when both the outcome and the site's own counter are what the site calls for."""
        return self.submission.state == self.expected_state and self.count == self.expected_count


async def collect_proofs(
    connection: Connection, submissions: Sequence[Submission], folder: Path
) -> Mapping[str, Sequence[Path]]:
    """Fetch every proof picture, write it below `folder`, and return the paths by directory."""
    found: dict[str, list[Path]] = {}
    for submission in submissions:
        directory = last_part(submission.directory)
        for number, name in enumerate(submission.proofs, start=1):
            path = folder / f"{directory}-{number}.jpg"
            await asyncio.to_thread(_write, path, await connection.proof(name))
            found.setdefault(directory, []).append(path)
    return found


def _write(path: Path, picture: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)


def print_outcomes(outcomes: Sequence[Outcome], folder: Path, console: Console) -> None:
    """Print what came of each directory, and where the proof lies."""
    console.print()
    console.print(_outcome_table(outcomes))
    console.print("(accepted: counted by the site itself, of what it should have)")
    console.print(f"the proof pictures lie in {folder}", highlight=False, soft_wrap=True)


def _outcome_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="Outcomes", box=None, pad_edge=False, title_justify="left")
    for heading in ("directory", "outcome", "tries", "accepted", "", "proof"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "tries" else "left")
    for each in outcomes:
        word = word_of(each.submission.state)
        table.add_row(
            last_part(each.submission.directory),
            f"[{word.style}]{word.text}[/]",
            str(each.submission.attempt),
            f"{each.count} of {each.expected_count}",
            "[green]ok[/]" if each.as_expected else f"[red]expected {_expected(each)}[/]",
            each.proofs[-1].name if each.proofs else "-",
        )
    return table


def _expected(outcome: Outcome) -> str:
    return f"{word_of(outcome.expected_state).text}, {outcome.expected_count} accepted"


def print_history(events: Sequence[Event], console: Console) -> None:
    """Print the way of the job and of each submission, event by event, one line each."""
    directories = directory_by_stream(events)
    ways: dict[str, list[str]] = {}
    for event in events:
        way = ways.setdefault(directories.get(event.stream_id, "job"), [])
        way.append(_short(event.WhichOneof("data") or "unknown"))
    console.print(f"\n[bold]History[/bold]: {len(events)} events")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name, way in ways.items():
        table.add_row(f"  {name}", " > ".join(way))
    console.print(table, highlight=False)


def directory_by_stream(events: Sequence[Event]) -> Mapping[str, str]:
    """Return the directory of each submission's stream."""
    return {
        event.stream_id: event.submission_requested.directory_id
        for event in events
        if event.HasField("submission_requested")
    }


def _short(kind: str) -> str:
    return kind.removeprefix("submission_").removeprefix("job_").replace("_", " ")


async def print_health(mesh: Mesh, console: Console) -> None:
    """Print what the monitor says of the mesh."""
    staff_key = mesh.secrets["staff_key"].read_text(encoding="ascii").strip()
    async with connect(mesh.addresses["monitor"], staff_key) as monitor:
        health = await monitor.health()
    console.print(
        f"\n[bold]Health[/bold]: score {health.score}, {health.workers_alive} workers, "
        f"{health.waiting} waiting, {health.alerts_open} alerts open"
    )
    for part in health.parts:
        console.print(f"  {part.part:<24} {part.detail}", highlight=False)


def print_next_steps(mesh: Mesh, job: str, key: str, console: Console) -> None:
    """Print commands to go on with."""
    intake, monitor = mesh.addresses["intake"], mesh.addresses["monitor"]
    json.dumps({"name": job})
    bearer = f"-H 'authorization: Bearer {key}'"
    console.print("\n[bold]Try[/bold] (while the demonstration runs: start it with --stay):")
    for command in (
        f"grpcurl -plaintext {intake} list",
        (
            f'grpcurl -plaintext {bearer} -d \'{{"name": "{job}"}}\' {intake} '
            "directorybolt.intake.v1.IntakeService/GetJob"
        ),
        f"grpcurl -plaintext {bearer} {monitor} directorybolt.monitor.v1.MonitorService/GetHealth",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)
    console.print(
        "\n[bold]Trace[/bold]: set OTEL_EXPORTER_OTLP_ENDPOINT (a Jaeger on http://127.0.0.1:4317, say) "
        "and run it again: one trace goes from CreateJob to the click.",
        soft_wrap=True,
    )
