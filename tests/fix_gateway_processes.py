"""A gateway and its clients as processes of their own, to be killed and frozen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from eventstore.audit.verify import verify
from eventstore.postgres import PostgresEventStore
from tests.fix_events import append_to, read_everything
from tests.fix_server import SERVICE_KEY, STAFF_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
WRITER: Final = ROOT / "tests" / "faults" / "gateway_writer.py"
PATHS: Final = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}


class GatewayProcess:
    """`python -m services.gateway`, at one address however often it is started."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Where it answers, as host:port."""
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it, and return when it serves."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.gateway",
            cwd=ROOT,
            env={**os.environ, **PATHS, **self._environment()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self._port = json.loads(await self._process.stdout.readline())["grpc_port"]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it; returns the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self.send(number)
        return await self._process.wait()

    def _environment(self) -> dict[str, str]:
        keys = {"STAFF": STAFF_KEY, "SERVICE": SERVICE_KEY, "TOKEN": "t" * 40}
        told = {"DATABASE_URL": self._url, "DIRECTORYBOLT_GRPC_PORT": str(self._port)}
        for name, key in keys.items():
            path = self._folder / name.lower()
            path.write_text(key, encoding="ascii")
            told[f"DIRECTORYBOLT_{name}_KEY_FILE"] = str(path)
        return told


class WritingProcess:
    """A client that appends, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.tried: set[UUID] = set()
        self.acknowledged: dict[UUID, int] = {}
        self.ways: Counter[str] = Counter()
        self._heard = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, url: str, address: str) -> Self:
        """Start it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WRITER), url, address, SERVICE_KEY),
            env={**os.environ, **PATHS},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return cls(process)

    async def more(self, count: int = 20, way: str | None = None) -> None:
        """Return when so many more appends were acknowledged, or so many more of one way."""
        before = self._count(way)
        async with self._heard:
            await self._heard.wait_for(lambda: self._count(way) >= before + count or self._ended())
        assert not self._ended(), "a writer ended by itself"

    async def end(self) -> None:
        """Kill it, and hear what it said last."""
        if self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await self._listening

    def _count(self, way: str | None) -> int:
        return len(self.acknowledged) if way is None else self.ways[way]

    def _ended(self) -> bool:
        return self._listening.done()

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            match line.decode().split():
                case ["trying", event_id]:
                    self.tried.add(UUID(event_id))
                case ["acknowledged", event_id, position, way]:
                    self.acknowledged[UUID(event_id)] = int(position)
                    self.ways[way] += 1
                case _:
                    pass
            async with self._heard:
                self._heard.notify_all()
        async with self._heard:
            self._heard.notify_all()


@asynccontextmanager
async def gateway_process(url: str, folder: Path) -> AsyncGenerator[GatewayProcess]:
    """Run a gateway."""
    gateway = GatewayProcess(url, folder)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.end()


@asynccontextmanager
async def writing(url: str, *addresses: str) -> AsyncGenerator[Sequence[WritingProcess]]:
    """Run a client of the gateway at each of these addresses, all of them at work."""
    async with AsyncExitStack() as stack:
        writers: list[WritingProcess] = []
        for address in addresses:
            writer = await WritingProcess.start(url, address)
            stack.push_async_callback(writer.end)
            writers.append(writer)
        await all_write(writers, 3, "gateway")
        yield writers


async def all_write(writers: Sequence[WritingProcess], count: int = 20, way: str | None = None) -> None:
    """Return when each of the writers has so many more acknowledged, or so many more of one way."""
    await asyncio.gather(*(each.more(count, way) for each in writers))


async def assert_nothing_lost_or_doubled(url: str, writers: Sequence[WritingProcess]) -> None:
    """End the writers and compare the log with what they were told."""
    await asyncio.gather(*(each.end() for each in writers))
    ours = append_to()
    async with PostgresEventStore.open(url, patience_seconds=30) as store:
        # What a killed writer asked for last may still be on its way: it is no fault, early or late.
        end = (await store.append(ours)).position
        events = await read_everything(store)
        assert (await verify(store)).defect is None
    assert events[end.number - 1].event_id == ours.events[0].event_id
    positions = {each.event_id: each.position.number for each in events}
    for each in writers:
        assert each.acknowledged.items() <= positions.items()
    tried = {event_id for each in writers for event_id in each.tried}
    assert set(positions) <= tried | {ours.events[0].event_id}
    assert len(positions) == len(events)
    assert sorted(positions.values()) == list(range(1, len(events) + 1))
