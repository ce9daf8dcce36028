"""Measures processes of one caller each: through the append gateway, directly, and with the peer library.

    python bench/gateway.py [--quick] [--json] [--rounds N] [--seconds S] [--processes N]

The load is that of `bench/eventstore.py`: one event of 200 bytes per append, for a stream that must not exist
yet, on disk before the answer. Processes that append directly commit one event each, as the peer's do; the
gateway is one process more, and commits for all of them: its own CPU counts among the callers'. The sides
take turns; figures are medians over the rounds.
"""

# ruff: noqa: E402
# Python puts this file's folder first on its path, where `eventstore` would be the benchmark.
from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import structlog

from bench.eventstore_sides import (
    OURS,
    PAYLOAD,
    PEER,
    TENANT,
    Measured,
    Start,
    prepare_ours,
    prepare_peer,
)
from bench.figures import Figure, Goal, rows_of, table
from bench.store_costs import Costs, costs
from eventstore.types import NO_STREAM, NewEvent, StreamAppend
from services.runtime.api_key import ApiKey
from services.runtime.gateway_store import GatewayEventStore
from stack.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

GATEWAY: Final = "gateway"
PATHS: Final = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
SIDES_PROGRAM: Final = Path(__file__).with_name("eventstore_sides.py")
THROUGH: Final = "through the gateway"
GOALS: Final = {THROUGH: Goal(ratio_at_least=1), f"{THROUGH} / directly": Goal(at_least=1.5)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long to measure, and with how many processes."""

    rounds: int
    seconds: float
    processes: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one side did in one turn, and what it cost the database."""

    measured: Measured
    costs: Costs

    def per_event(self, cost: float) -> float:
        """Return a cost per event."""
        return cost / max(1, self.measured.events_count)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway process: where it answers, and with which key."""

    address: str
    service_key: str
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far; 0 where the system does not tell."""
        path = Path(f"/proc/{self.pid}/stat")
        if not path.exists():
            return 0.0
        fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> int:
    """Measure, print, and return the exit code."""
    arguments = _arguments()
    seconds, rounds = (1.5, 2) if arguments.quick else (arguments.seconds, arguments.rounds)
    plan = Plan(rounds, seconds, arguments.processes)
    rows = rows_of([await _round(plan) for _ in range(plan.rounds)], GOALS)
    machine = {"load_1m": os.getloadavg()[0], "cpus": os.cpu_count()}
    if arguments.json:
        answer = {"machine": machine, "plan": asdict(plan), "rows": [asdict(each) for each in rows]}
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        print(f"{plan.processes} processes x 1, {plan.rounds} rounds, {plan.seconds} s each; {machine}")
        print(table(rows))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures processes of one caller each.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="less than a minute, and as rough as that")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, every side in each (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: 4)")
    parser.add_argument("--processes", type=int, default=16, help="of one caller each (default: 16)")
    return parser.parse_args()


async def _round(plan: Plan) -> Sequence[Figure]:
    """Measure every side once, on a cluster of its own."""
    async with EmbeddedPostgres.throwaway() as postgres:
        ours, theirs = [await postgres.create_database(each) for each in (OURS, PEER)]
        await prepare_ours(ours)
        prepare_peer(theirs)
        direct = await _load(postgres, _turn(plan, (SIDES_PROGRAM, OURS, ours, plan.seconds, 1, 1)))
        peer = await _load(postgres, _turn(plan, (SIDES_PROGRAM, PEER, theirs, plan.seconds, 1, 1)))
        through = await _load(postgres, _turn_through_gateway(plan, ours))
    gain = through.measured.per_second / direct.measured.per_second
    return [
        *_figures(THROUGH, through, peer),
        *_figures("directly", direct, peer),
        Figure(f"{THROUGH} / directly", "ratio", gain),
    ]


def _figures(name: str, ours: Load, peer: Load) -> Sequence[Figure]:
    def figure(what: str, unit: str, of: Callable[[Load], float]) -> Figure:
        return Figure(f"{name}, {what}", unit, of(ours), of(peer), more_is_better=False)

    return [
        Figure(name, "events/s", ours.measured.events_per_second, peer.measured.events_per_second),
        figure("p50", "ms", lambda each: each.measured.percentile(0.5)),
        figure("p99", "ms", lambda each: each.measured.percentile(0.99)),
        figure(
            "CPU of the callers", "us/event", lambda each: each.per_event(each.measured.cpu_seconds) * 1e6
        ),
        figure("CPU of the database", "us/event", lambda each: each.per_event(each.costs.cpu_seconds) * 1e6),
        figure("syncs", "per event", lambda each: each.per_event(each.costs.wal_syncs)),
    ]


@asynccontextmanager
async def _gateway(url: str) -> AsyncGenerator[Gateway]:
    """Run a gateway before a database."""
    with tempfile.TemporaryDirectory() as folder:
        keys = {name: ApiKey.generate().text() for name in ("STAFF", "SERVICE", "TOKEN")}
        files = {f"DIRECTORYBOLT_{name}_KEY_FILE": _written(folder, name, key) for name, key in keys.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway"),
            cwd=ROOT,
            env={**os.environ, **PATHS, **files, "DATABASE_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            ports = json.loads(await _line(process))
            yield Gateway(f"127.0.0.1:{ports['grpc_port']}", keys["SERVICE"], process.pid)
        finally:
            process.terminate()
            await process.wait()


def _written(folder: str, name: str, key: str) -> str:
    path = Path(folder, name)
    path.write_text(key, encoding="ascii")
    return str(path)


async def _load(postgres: EmbeddedPostgres, turn: Awaitable[Measured]) -> Load:
    """Take a turn, and read the meters before anybody is connected and when everybody has gone."""
    before = await costs(postgres)
    measured = await turn
    return Load(measured, (await costs(postgres)).since(before))


async def _turn_through_gateway(plan: Plan, url: str) -> Measured:
    async with _gateway(url) as gateway:
        before = gateway.cpu_seconds
        command = (__file__, "--one", url, plan.seconds, gateway.address, gateway.service_key)
        measured = await _turn(plan, command)
        used_seconds = measured.cpu_seconds + gateway.cpu_seconds - before
    return replace(measured, cpu_seconds=used_seconds)


async def _turn(plan: Plan, command: Sequence[object]) -> Measured:
    """Let processes of one caller each append, all at the same time."""
    pipe = asyncio.subprocess.PIPE
    children = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, *map(str, command)),
            env={**os.environ, **PATHS},
            stdin=pipe,
            stdout=pipe,
            limit=1 << 26,
        )
        for _ in range(plan.processes)
    ]
    try:
        for each in children:
            await _line(each)
        for each in children:
            if each.stdin is not None:
                each.stdin.write(b"go\n")
        answers = [json.loads(await _line(each)) for each in children]
    except BaseException:
        for each in children:
            if each.returncode is None:
                each.kill()
        raise
    finally:
        await asyncio.gather(*(each.wait() for each in children))
    return Measured(
        max(answer["seconds"] for answer in answers),
        [latency for answer in answers for latency in answer["latencies_ms"]],
        cpu_seconds=sum(answer["cpu_seconds"] for answer in answers),
    )


async def _line(child: asyncio.subprocess.Process) -> bytes:
    if child.stdout is None:
        raise AssertionError("the process was started with pipes")
    line = await child.stdout.readline()
    if not line:
        raise RuntimeError("a measuring process ended too early; its error stands above")
    return line


async def _one(url: str, seconds: float, address: str, service_key: str) -> None:
    """Be one of the processes that append through the gateway, with one caller."""
    async with GatewayEventStore.open(url, address, service_key) as store:
        await _append(store)
        while store.is_direct:  # sixteen processes that connect at once take their time
            await store.wait_for_news(await store.head(), 0.1)
        await asyncio.to_thread(Start())
        latencies: list[float] = []
        began, cpu_began = time.perf_counter(), time.process_time()
        while (now := time.perf_counter()) < began + seconds:
            await _append(store)
            latencies.append((time.perf_counter() - now) * 1_000)
        measured = Measured(
            time.perf_counter() - began, latencies, cpu_seconds=time.process_time() - cpu_began
        )
        if store.is_direct:
            raise RuntimeError("the gateway was away: what was measured is not the gateway")
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


async def _append(store: GatewayEventStore) -> None:
    event = NewEvent("bench.v1.Happened", PAYLOAD)
    await store.append(StreamAppend(uuid4(), "bench", TENANT, [event], NO_STREAM))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        _, _, of_url, of_seconds, of_address, of_key = sys.argv
        asyncio.run(_one(of_url, float(of_seconds), of_address, of_key))
    else:
        sys.exit(asyncio.run(main()))
