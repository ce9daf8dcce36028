"""Measures appending beside the `eventsourcing` library: the same Postgres, the same run, in turns.

    python bench/eventstore.py [--quick] [--json] [--rounds N] [--seconds S]

Each append holds one event of 200 bytes for a stream that must not exist yet, and returns when the database
has it on disk: fsync and synchronous_commit are on for both. The peer is in its lossless default (it locks
its table; its faster mode loses events to live readers). One process with N callers is N coroutines here
and N threads there; sixteen processes have one caller each. The figures are medians over the rounds; what
one fsync takes, and the load of the machine, are printed with them.
"""

# ruff: noqa: E402
# Python puts this file's folder first on its path, where `eventstore` would be this file, not the package.
from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, TypeVar

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.eventstore_sides import (
    OURS,
    PEER,
    Measured,
    measure_ours,
    measure_peer,
    prepare_ours,
    prepare_peer,
)
from stack.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Pipe = TypeVar("Pipe")

PROCESSES: Final = 16
CALLERS: Final = (1, 16, 64)
SIDES: Final = Path(__file__).with_name("eventstore_sides.py")
FSYNCS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of ours, or our ratio to the peer, has to reach."""

    of: str
    limit: float
    text: str
    more_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: `ratio` is how many times better ours is."""

    metric: str
    unit: str
    ours: float
    peer: float
    ratio: float
    goal: str
    met: bool


async def main() -> int:
    """Measure, print, and return the exit code."""
    arguments = _arguments()
    plan = Plan(2, 1.5) if arguments.quick else Plan(arguments.rounds, arguments.seconds)
    async with EmbeddedPostgres.throwaway() as postgres:
        urls = {OURS: await postgres.create_database("ours"), PEER: await postgres.create_database("peer")}
        await prepare_ours(urls[OURS])
        prepare_peer(urls[PEER])
        fsync_ms = await asyncio.to_thread(_fsync_ms, postgres.log_path.parent)
        results = [await _round(urls, plan.seconds) for _ in range(plan.rounds)]
    rows = _rows(results, fsync_ms)
    machine = {"fsync_ms": round(fsync_ms, 3), "load_1m": os.getloadavg()[0], "cpus": os.cpu_count()}
    if arguments.json:
        sys.stdout.write(json.dumps({"machine": machine, "rows": [asdict(each) for each in rows]}) + "\n")
    else:
        _print(rows, machine, plan)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures appending beside the eventsourcing library.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="less than a minute, and as rough as that")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, both sides in each (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: 4)")
    return parser.parse_args()


async def _round(urls: Mapping[str, str], seconds: float) -> Mapping[tuple[str, str], Measured]:
    """Measure everything once, the sides in turns, so that the load of the moment hits both."""
    measured: dict[tuple[str, str], Measured] = {}
    for callers in CALLERS:
        name = f"{callers} in one process"
        measured[name, OURS] = await measure_ours(urls[OURS], callers, seconds)
        measured[name, PEER] = await measure_peer(urls[PEER], callers, seconds)
    for side, url in urls.items():
        measured[f"{PROCESSES} processes", side] = await _processes(side, url, seconds)
    return measured


async def _processes(side: str, url: str, seconds: float) -> Measured:
    """Append from processes of one caller each, which begin together."""
    pipe = asyncio.subprocess.PIPE
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(SIDES), side, url, str(seconds), stdin=pipe, stdout=pipe, limit=1 << 26
        )
        for _ in range(PROCESSES)
    ]
    try:
        for each in children:
            await _line(each)
        for each in children:
            _opened(each.stdin).write(b"go\n")
        answers = [json.loads(await _line(each)) for each in children]
    finally:
        await asyncio.gather(*(_end(each) for each in children))
    latencies = [latency for answer in answers for latency in answer["latencies_ms"]]
    return Measured(max(answer["seconds"] for answer in answers), latencies)


def _opened(pipe: Pipe | None) -> Pipe:
    if pipe is None:
        raise AssertionError("the process was started with pipes")
    return pipe


async def _line(child: asyncio.subprocess.Process) -> bytes:
    line = await _opened(child.stdout).readline()
    if not line:
        raise RuntimeError("a measuring process ended too early; its error stands above")
    return line


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), 10)
    if child.returncode is None:
        child.kill()
        await child.wait()


def _fsync_ms(folder: Path) -> float:
    """Return what one 8 KiB write and fsync take where the database lies: the median of many."""
    took: list[float] = []
    with (folder / "fsync.probe").open("wb", buffering=0) as probe:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            probe.write(bytes(8_192))
            os.fdatasync(probe.fileno())
            took.append((time.perf_counter() - began) * 1_000)
    return median(took)


def _rows(results: Sequence[Mapping[tuple[str, str], Measured]], fsync_ms: float) -> Sequence[Row]:
    def of(name: str, side: str, figure: Callable[[Measured], float]) -> float:
        return round(median(figure(each[name, side]) for each in results), 3)

    def row(name: str, unit: str, figure: Callable[[Measured], float], goal: Goal) -> Row:
        ours, peer = of(name, OURS, figure), of(name, PEER, figure)
        ratio = round(ours / peer if goal.more_is_better else peer / ours, 2)
        reached = ours if goal.of == OURS else ratio
        met = reached >= goal.limit if goal.more_is_better or goal.of == "ratio" else reached <= goal.limit
        return Row(f"{name}, {unit}", unit, ours, peer, ratio, goal.text, met)

    def rate(measured: Measured) -> float:
        return measured.per_second

    lone_ms = round(1.2 * fsync_ms, 3)
    return [
        row(
            "1 in one process",
            "appends/s",
            rate,
            Goal(OURS, 1_000 / lone_ms, f">= 1 per 1.2 fsyncs ({lone_ms} ms)"),
        ),
        row("16 in one process", "appends/s", rate, Goal(OURS, 5_000, ">= 5000/s")),
        row("64 in one process", "appends/s", rate, Goal(OURS, 10_000, ">= 10000/s")),
        row(
            "64 in one process",
            "p50 ms",
            lambda each: each.percentile(0.5),
            Goal(OURS, 5, "<= 5 ms", more_is_better=False),
        ),
        row(
            "64 in one process",
            "p99 ms",
            lambda each: each.percentile(0.99),
            Goal(OURS, 20, "<= 20 ms", more_is_better=False),
        ),
        row(f"{PROCESSES} processes", "appends/s", rate, Goal("ratio", 1.0, ">= peer")),
    ]


def _print(rows: Sequence[Row], machine: Mapping[str, object], plan: Plan) -> None:
    print(f"{plan.rounds} rounds of {plan.seconds} s each; {machine}")
    print(f"{'append, callers':34}{'ours':>10}{'peer':>10}{'ratio':>8}  goal")
    for each in rows:
        verdict = "met" if each.met else "NOT MET"
        print(f"{each.metric:34}{each.ours:10.1f}{each.peer:10.1f}{each.ratio:8.2f}  {each.goal}: {verdict}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
