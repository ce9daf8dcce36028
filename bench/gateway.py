"""Measures processes of one caller each: through the append gateway, directly, and with the peer library.

    python bench/gateway.py [--quick] [--json] [--rounds N] [--seconds S] [--processes N]

The load is that of `bench/eventstore.py`: one event of 200 bytes per append, for a stream that must not exist
yet, on disk before the answer. Processes that append directly commit one event each, as the peer's do; the
gateway is one process more, and commits for all of them. The sides take turns; figures are medians over the
rounds.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from uuid import uuid4

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import psycopg
import structlog

from bench.eventstore_sides import (
    OURS,
    PAYLOAD,
    PEER,
    TENANT,
    Measured,
    Start,
    measure_peer,
    prepare_ours,
    prepare_peer,
)
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, NewEvent, StreamAppend
from services.runtime.api_key import ApiKey
from services.runtime.gateway_store import GatewayEventStore
from stack.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from eventstore.store import EventStore

GATEWAY: Final = "gateway"
DIRECT: Final = "direct"
SIDES: Final = (GATEWAY, DIRECT, PEER)
PATHS: Final = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
_FSYNCS: Final = "select coalesce(sum(fsyncs), 0)::bigint from pg_stat_io where object = 'wal'"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure, and with how many processes."""

    rounds: int
    seconds: float
    processes: int


@dataclass(frozen=True, slots=True)
class Side:
    """What one side did in one turn; the gateway's own time is part of `cpu_seconds`."""

    measured: Measured
    cpu_seconds: float
    fsyncs: int

    @property
    def cpu_us(self) -> float:
        """Microseconds of the clients' and the gateway's CPU per append."""
        return self.cpu_seconds * 1e6 / max(1, len(self.measured.latencies_ms))

    @property
    def fsyncs_per_append(self) -> float:
        """How many times the log of the database went to the disk per append."""
        return self.fsyncs / max(1, len(self.measured.latencies_ms))


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


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway process: where it answers, and with which key."""

    address: str
    service_key: str
    pid: int


async def main() -> int:
    """Measure, print, and return the exit code."""
    arguments = _arguments()
    seconds, rounds = (1.5, 2) if arguments.quick else (arguments.seconds, arguments.rounds)
    plan = Plan(rounds, seconds, arguments.processes)
    async with EmbeddedPostgres.throwaway() as postgres:
        urls = {OURS: await postgres.create_database("ours"), PEER: await postgres.create_database("peer")}
        await prepare_ours(urls[OURS])
        prepare_peer(urls[PEER])
        async with _gateway(urls[OURS]) as gateway:
            results = [
                {side: await _turn(side, urls, gateway, plan) for side in SIDES} for _ in range(plan.rounds)
            ]
    rows = _rows(results, plan)
    machine = {"load_1m": os.getloadavg()[0], "cpus": os.cpu_count()}
    if arguments.json:
        sys.stdout.write(json.dumps({"machine": machine, "rows": [asdict(each) for each in rows]}) + "\n")
    else:
        _print(rows, machine, plan)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures processes of one caller each.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="less than a minute, and as rough as that")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, every side in each (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: 4)")
    parser.add_argument("--processes", type=int, default=16, help="of one caller each (default: 16)")
    return parser.parse_args()


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
            await _end(process)


def _written(folder: str, name: str, key: str) -> str:
    path = Path(folder, name)
    path.write_text(key, encoding="ascii")
    return str(path)


async def _turn(side: str, urls: Mapping[str, str], gateway: Gateway, plan: Plan) -> Side:
    """Measure one side once: processes that begin together."""
    url = urls[PEER if side == PEER else OURS]
    arguments = (side, url, str(plan.seconds), gateway.address, gateway.service_key)
    pipe = asyncio.subprocess.PIPE
    children = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--side", *arguments),
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
        before, gateway_before = await _fsyncs(url), _cpu_seconds(gateway.pid)
        for each in children:
            if each.stdin is not None:
                each.stdin.write(b"go\n")
        answers = [json.loads(await _line(each)) for each in children]
        gateway_seconds = _cpu_seconds(gateway.pid) - gateway_before
    finally:
        await asyncio.gather(*(_end(each) for each in children))
    latencies = [latency for answer in answers for latency in answer["latencies_ms"]]
    return Side(
        Measured(max(answer["seconds"] for answer in answers), latencies),
        sum(answer["cpu_seconds"] for answer in answers) + gateway_seconds,
        await _fsyncs(url) - before,
    )


async def _line(child: asyncio.subprocess.Process) -> bytes:
    if child.stdout is None:
        raise AssertionError("the process was started with pipes")
    line = await child.stdout.readline()
    if not line:
        raise RuntimeError("a measuring process ended too early; its error stands above")
    return line


async def _end(child: asyncio.subprocess.Process) -> None:
    """Let a process end by itself or, when it has nothing else to do, at our word."""
    try:
        await asyncio.wait_for(child.wait(), 0.5)
    except TimeoutError:
        child.terminate()
        await child.wait()


async def _fsyncs(url: str) -> int:
    """Return how often the cluster's log went to the disk so far."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(_FSYNCS)).fetchone()
        return row[0] if row else 0


def _cpu_seconds(pid: int) -> float:
    """Return what a process has used so far; 0 where the system does not tell."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rows(results: Sequence[Mapping[str, Side]], plan: Plan) -> Sequence[Row]:
    def of(side: str, figure: Callable[[Side], float]) -> float:
        return round(median(figure(each[side]) for each in results), 3)

    def row(
        what: str, sides: tuple[str, str], figure: Callable[[Side], float], least: float, *, more: bool = True
    ) -> Row:
        ours, theirs = (of(side, figure) for side in sides)
        ratio = round(ours / theirs if more else theirs / max(ours, 0.001), 2)
        goal = f"{sides[0]} >= {least:g} x {sides[1]}"
        return Row(f"{plan.processes} processes, {what}", what, ours, theirs, ratio, goal, ratio >= least)

    return [
        row("appends/s", (GATEWAY, PEER), lambda each: each.measured.per_second, 1),
        row("appends/s", (GATEWAY, DIRECT), lambda each: each.measured.per_second, 2),
        row("p50 ms", (GATEWAY, PEER), lambda each: each.measured.percentile(0.5), 1, more=False),
        row("p99 ms", (GATEWAY, PEER), lambda each: each.measured.percentile(0.99), 1, more=False),
        row("fsyncs per append", (GATEWAY, PEER), lambda each: each.fsyncs_per_append, 1, more=False),
        row("fsyncs per append", (GATEWAY, DIRECT), lambda each: each.fsyncs_per_append, 1, more=False),
        row("client and gateway CPU us", (GATEWAY, DIRECT), lambda each: each.cpu_us, 1, more=False),
        row("client CPU us", (DIRECT, PEER), lambda each: each.cpu_us, 0, more=False),
    ]


def _print(rows: Sequence[Row], machine: Mapping[str, object], plan: Plan) -> None:
    print(f"{plan.rounds} rounds of {plan.seconds} s each; {machine}")
    print(f"{'append':42}{'first':>10}{'second':>10}{'ratio':>8}  goal")
    for each in rows:
        verdict = "met" if each.met else "NOT MET"
        print(f"{each.metric:42}{each.ours:10.2f}{each.peer:10.2f}{each.ratio:8.2f}  {each.goal}: {verdict}")


async def _alone(side: str, url: str, seconds: float, address: str, service_key: str) -> None:
    """Be one of the processes, with one caller."""
    before = time.process_time()
    if side == PEER:
        measured = await measure_peer(url, 1, seconds, Start())
    elif side == GATEWAY:
        async with GatewayEventStore.open(url, address, service_key) as store:
            await _through(store)
            measured = await _append(store, seconds)
            if store.is_direct:
                raise RuntimeError("the gateway was away: what was measured is not the gateway")
    else:
        async with PostgresEventStore.open(url) as store:
            measured = await _append(store, seconds)
    answer = {**asdict(measured), "cpu_seconds": time.process_time() - before}
    sys.stdout.write(json.dumps(answer) + "\n")


async def _through(store: GatewayEventStore) -> None:
    """Return when appends go through the gateway: sixteen processes that start at once take their time."""
    await _append_once(store)
    while store.is_direct:
        await store.wait_for_news(await store.head(), 0.1)


async def _append(store: EventStore, seconds: float) -> Measured:
    await _append_once(store)
    await asyncio.to_thread(Start())
    latencies: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        await _append_once(store)
        latencies.append((time.perf_counter() - now) * 1_000)
    return Measured(time.perf_counter() - began, latencies)


async def _append_once(store: EventStore) -> None:
    event = NewEvent("bench.v1.Happened", PAYLOAD)
    await store.append(StreamAppend(uuid4(), "bench", TENANT, [event], NO_STREAM))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        _, _, of_side, of_url, of_seconds, of_address, of_key = sys.argv
        asyncio.run(_alone(of_side, of_url, float(of_seconds), of_address, of_key))
    else:
        sys.exit(asyncio.run(main()))
