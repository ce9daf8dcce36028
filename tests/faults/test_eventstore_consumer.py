"""Consumers that are killed or frozen: every event is handled at least once, and each stream in its order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from eventstore.following.projection import ProjectionProgress
from eventstore.postgres import PostgresEventStore
from tests.fix_counting import until
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

pytest_plugins = ["tests.fix_postgres"]

PROGRAM: Final = Path(__file__).with_name("eventstore_consuming.py")
ROOT: Final = Path(__file__).resolve().parents[2]
STREAMS: Final = 24
ROUNDS: Final = 6


@asynccontextmanager
async def consuming(url: str, path: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a consumer in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), url, str(path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def handled(process: asyncio.subprocess.Process, times: int) -> None:
    """Return when the process has handled something for the n-th time."""
    assert process.stdout is not None
    for _ in range(times):
        assert await process.stdout.readline()


def journal(path: Path) -> Sequence[tuple[str, int]]:
    """Return what was handed out, in that order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(stream_id, int(version)) for stream_id, version in map(str.split, lines)]


async def test_nothing_is_lost_and_no_stream_goes_back_whoever_is_killed_or_frozen(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.txt"
    progress = ProjectionProgress(database_url, "journal", 1)
    stream_ids = [uuid4() for _ in range(STREAMS)]
    async with (
        asyncio.timeout(120),
        PostgresEventStore.open(database_url) as store,
        AsyncExitStack() as stack,
    ):
        killed, frozen = [await stack.enter_async_context(consuming(database_url, path)) for _ in "12"]
        await until(database_url, "select count(distinct holder) = 2 from es.projection")
        for _ in range(ROUNDS // 2):
            for each in stream_ids:
                await store.append(append_to(each, 2))
        await handled(killed, 5)
        await handled(frozen, 5)
        os.kill(frozen.pid, signal.SIGSTOP)
        killed.kill()
        for _ in range(ROUNDS // 2):
            for each in stream_ids:
                await store.append(append_to(each, 2))
        await stack.enter_async_context(consuming(database_url, path))
        await until(
            database_url, "select count(distinct holder) = 1 and count(holder) = 8 from es.projection"
        )
        os.kill(frozen.pid, signal.SIGCONT)
        await progress.wait_until(await store.head())
    await progress.close()

    newest = dict.fromkeys(map(str, stream_ids), 0)
    for stream_id, version in journal(path):
        # After a crash something is repeated, but nothing comes before what has to come first.
        assert version <= newest[stream_id] + 1
        newest[stream_id] = max(version, newest[stream_id])
    assert set(newest.values()) == {2 * ROUNDS}
