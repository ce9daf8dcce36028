"""Appending: from one process with many callers, and from many processes with one caller each.

The peer runs in both shapes, threads of one process and sixteen processes, and its better one counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg

from bench.eventstore_sides import OURS, PAYLOAD, PEER, Measured, measure_ours, measure_peer
from bench.figures import Figure
from bench.store_costs import Costs, costs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.store_bench import Bench

Pipe = TypeVar("Pipe")

SHAPES: Final = ((1, 1), (16, 1), (64, 1), (256, 1), (64, 10))
PROCESSES: Final = 16
PROGRAM: Final = Path(__file__).with_name("eventstore_sides.py")


@dataclass(frozen=True, slots=True)
class Load:
    """What a load did, and what it cost."""

    measured: Measured
    costs: Costs

    def per_event(self, cost: float) -> float:
        """Return a cost per event."""
        return cost / max(1, self.measured.events_count)


async def append(bench: Bench) -> Sequence[Figure]:
    """Measure every shape of one process."""
    figures: list[Figure] = []
    for callers, events in SHAPES:
        name = f"append, {callers} caller{'s' * (callers > 1)}" + (
            f" x {events} events" if events > 1 else ""
        )
        ours = await _loaded(bench, OURS, lambda url, c=callers, e=events: _ours(url, c, e, bench.seconds))
        peer = await _better_peer(bench, callers, events)
        figures += _figures(name, ours, peer)
        if callers == 1:
            figures.append(await _against_bare_insert(bench, ours))
    return figures


async def processes(bench: Bench) -> Sequence[Figure]:
    """Measure sixteen processes of one caller each, without a gateway (bench/gateway.py has one)."""
    ours, peer = [
        await _loaded(bench, side, lambda url, s=side: _in_processes(s, url, bench.seconds, 1, 1))
        for side in (OURS, PEER)
    ]
    return _figures(f"append, {PROCESSES} processes x 1", ours, peer)


async def _better_peer(bench: Bench, callers: int, events: int) -> Load:
    loads = [await _loaded(bench, PEER, lambda url: measure_peer(url, callers, bench.seconds, events=events))]
    if callers >= PROCESSES:
        share = callers // PROCESSES
        loads.append(
            await _loaded(bench, PEER, lambda url: _in_processes(PEER, url, bench.seconds, share, events))
        )
    return max(loads, key=lambda each: each.measured.events_per_second)


async def _ours(url: str, callers: int, events: int, seconds: float) -> Measured:
    return await measure_ours(url, callers, seconds, events=events)


async def _loaded(bench: Bench, side: str, load: Callable[[str], Awaitable[Measured]]) -> Load:
    url = await bench.fresh(side)
    before = await costs(bench.postgres)
    measured = await load(url)
    return Load(measured, (await costs(bench.postgres)).since(before))


def _figures(name: str, ours: Load, peer: Load) -> Sequence[Figure]:
    def figure(what: str, unit: str, of: Callable[[Load], float]) -> Figure:
        return Figure(f"{name}, {what}", unit, of(ours), of(peer), more_is_better=False)

    return [
        Figure(name, "events/s", ours.measured.events_per_second, peer.measured.events_per_second),
        figure("p50", "ms", lambda each: each.measured.percentile(0.5)),
        figure("p99", "ms", lambda each: each.measured.percentile(0.99)),
        figure("CPU of the database", "us/event", lambda each: each.per_event(each.costs.cpu_seconds) * 1e6),
        figure(
            "CPU of the callers", "us/event", lambda each: each.per_event(each.measured.cpu_seconds) * 1e6
        ),
        figure("WAL", "B/event", lambda each: each.per_event(each.costs.wal_bytes)),
        figure("syncs", "per event", lambda each: each.per_event(each.costs.wal_syncs)),
    ]


async def _against_bare_insert(bench: Bench, lone: Load) -> Figure:
    """Compare a lone append with what one row and its fsync take, on a table that has only a key."""
    url = await bench.fresh(OURS)
    took: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("create table bare (id bigserial primary key, payload bytea not null)")
        until = time.perf_counter() + bench.seconds
        while (began := time.perf_counter()) < until:
            await connection.execute("insert into bare (payload) values (%b)", [PAYLOAD], prepare=True)
            took.append((time.perf_counter() - began) * 1_000)
    ratio = lone.measured.percentile(0.5) / median(took)
    return Figure("lone append / bare fsynced insert", "ratio", ratio)


async def _in_processes(side: str, url: str, seconds: float, callers: int, events: int) -> Measured:
    """Append from processes that begin together."""
    pipe = asyncio.subprocess.PIPE
    arguments = (str(PROGRAM), side, url, str(seconds), str(callers), str(events))
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=pipe, stdout=pipe, limit=1 << 26
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
    return Measured(
        max(answer["seconds"] for answer in answers),
        [latency for answer in answers for latency in answer["latencies_ms"]],
        events,
        sum(answer["cpu_seconds"] for answer in answers),
    )


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
