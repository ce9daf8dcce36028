"""Sealers that are killed leave neither a gap nor a difference between the database and the archive."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from eventstore.audit import seal_table
from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.verify_log import verify_log
from eventstore.postgres import PostgresEventStore
from tests.fix_events import append_to
from tests.fix_seals import SIGNER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytest_plugins = ["tests.fix_postgres"]

SEALING: Final = Path(__file__).with_name("eventstore_sealing.py")
ROOT: Final = Path(__file__).resolve().parents[2]
KILLS: Final = 8


@asynccontextmanager
async def sealing(url: str, folder: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a sealer; it is killed on the way out."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SEALING), url, str(folder)),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def heard(process: asyncio.subprocess.Process, rounds: int) -> None:
    """Return when a sealer has said so many rounds."""
    assert process.stdout is not None
    for _ in range(rounds):
        await process.stdout.readline()


async def test_killed_sealers_leave_whole_seals_and_an_archive_that_catches_up(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "seals"
    async with PostgresEventStore.open(database_url) as store:
        for kill in range(KILLS):
            await store.append(append_to(count=120))
            # Two at once, killed at a moment of their own: between any two steps of a round.
            async with sealing(database_url, folder) as one, sealing(database_url, folder) as two:
                await heard(one, 3 + kill)
                one.kill()
                await heard(two, 2)
        async with sealing(database_url, folder) as last:
            assert await last.wait() == 0

    archive = DirectorySealArchive(folder)
    verdict = await verify_log(database_url, seals=archive, keys=frozenset([SIGNER.public_key]))
    assert (verdict.findings, verdict.events_count) == ([], 120 * KILLS)
    assert verdict.sealed == {0: 120 * KILLS}
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        stored = [each async for each in seal_table.all_seals(connection, 0)]
    assert await archive.read(0, [each.number for each in stored]) == stored
