"""Measures the event store beside the `eventsourcing` library: the same Postgres, the same run, in turns.

    python bench/eventstore.py [--quick] [--json] [--only append,read] [--rounds N] [--seconds S] [--events N]

Each append holds events of 200 bytes for a stream that must not exist yet, and returns when the database has
them on disk: fsync and synchronous_commit are on for both. The peer is in its lossless default (it locks its
table; its faster mode loses events to live readers, which `bench/loss.py` shows), in two shapes, threads in
one process and sixteen processes; the better one counts. Figures are medians over the rounds, beside the
lowest and the highest; what one fsync takes, and the load of the machine, are printed with them.
"""

# ruff: noqa: E402
# Python puts this file's folder first on its path, where `eventstore` would be this file, not the package.
from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.figures import rows_of, table
from bench.store_append import append, processes
from bench.store_bench import Bench
from bench.store_goals import GOALS
from bench.store_import import imports
from bench.store_latency import latency
from bench.store_project import project
from bench.store_read import read
from bench.store_verify import verify
from stack.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Figure

SECTIONS: Final = {
    "append": append,
    "processes": processes,
    "read": read,
    "project": project,
    "verify": verify,
    "import": imports,
    "latency": latency,
}
FSYNCS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, how often and how long, and how many events the logs hold that are read."""

    sections: Sequence[str]
    rounds: int
    seconds: float
    events: int


async def main() -> int:
    """Measure, print, and return the exit code."""
    arguments = _arguments()
    plan = _plan(arguments)
    rounds = [await _round(plan, number) for number in range(plan.rounds)]
    rows = rows_of(rounds, GOALS)
    machine = {"fsync_ms": _fsync_ms(), "load_1m": os.getloadavg()[0], "cpus": os.cpu_count()}
    if arguments.json:
        sys.stdout.write(
            json.dumps({"machine": machine, "plan": asdict(plan), "rows": [asdict(each) for each in rows]})
            + "\n"
        )
    else:
        print(f"{plan.rounds} rounds, {plan.seconds} s each, logs of {plan.events} events; {machine}")
        print(table(rows))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the event store beside the eventsourcing library.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="less than a minute, and as rough as that")
    parser.add_argument("--only", default="", help=f"some of {', '.join(SECTIONS)}, with commas")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, both sides in each (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: 4)")
    parser.add_argument(
        "--events", type=int, default=100_000, help="in the logs that are read (default: 100000)"
    )
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> Plan:
    sections = [each for each in arguments.only.split(",") if each] or list(SECTIONS)
    unknown = sorted(set(sections) - SECTIONS.keys())
    if unknown:
        sys.exit(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if arguments.quick:
        return Plan(sections, 1, 0.7, 20_000)
    return Plan(sections, arguments.rounds, arguments.seconds, arguments.events)


async def _round(plan: Plan, number: int) -> Sequence[Figure]:
    """Measure everything once, on a cluster of its own: no round pays for what the one before left."""
    figures: list[Figure] = []
    async with EmbeddedPostgres.throwaway() as postgres:
        bench = Bench(postgres, plan.seconds, plan.events)
        for each in plan.sections:
            if sys.stderr.isatty():
                print(f"round {number + 1} of {plan.rounds}: {each}", file=sys.stderr)
            figures += await SECTIONS[each](bench)
    return figures


def _fsync_ms() -> float:
    """Return what one 8 KiB write and fsync take where temporary clusters lie: the median of many."""
    took: list[float] = []
    with tempfile.TemporaryFile(buffering=0) as probe:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            probe.write(bytes(8_192))
            os.fdatasync(probe.fileno())
            took.append((time.perf_counter() - began) * 1_000)
    return round(median(took), 3)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
