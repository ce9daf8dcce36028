"""An import that dies is begun again and writes everything once; one that freezes stops nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest_asyncio

from eventstore.audit.verify_log import verify_log
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from stack.postgres import EmbeddedPostgres
from tests.faults.eventstore_importer import event_id
from tests.fix_events import append_to, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

IMPORTER: Final = Path(__file__).with_name("eventstore_importer.py")
ROOT: Final = Path(__file__).resolve().parents[2]


class Importer:
    """An importing process, and what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def said(self) -> list[str]:
        """Return the next line, in words; none at the end."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().split()

    async def done(self) -> list[str]:
        """Return what it says when it is done."""
        while (words := await self.said())[:1] == ["imported"]:
            pass
        return words


@asynccontextmanager
async def importing(url: str, count: int) -> AsyncGenerator[Importer]:
    """Run an import."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(IMPORTER), url, str(count)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield Importer(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest_asyncio.fixture
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Run a durable Postgres of the test's own."""
    async with EmbeddedPostgres.throwaway() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def url(postgres: EmbeddedPostgres) -> str:
    """Give a migrated database in it, with small partitions."""
    made = await postgres.create_database("ledger")
    await migrate(made, settings={"event_partition_size": "1000", "pulse_partition_size": "1000"})
    return made


async def assert_imported_once(url: str, count: int) -> None:
    """Compare the log with what was to be imported."""
    async with PostgresEventStore.open(url, patience_seconds=30) as store:
        stored = await read_everything(store)
    assert not (await verify_log(url)).findings
    assert [each.event_id for each in stored] == [event_id(number) for number in range(count)]
    versions: dict[object, int] = {}
    for each in stored:
        versions[each.stream_id] = versions.get(each.stream_id, 0) + 1
        assert each.version == versions[each.stream_id]


async def test_an_import_that_was_killed_is_begun_again_and_writes_everything_once(url: str) -> None:
    async with asyncio.timeout(60):
        for chunks in (1, 3):
            async with importing(url, 3_000) as victim:
                for _ in range(chunks):
                    assert (await victim.said())[0] == "imported"

        async with importing(url, 3_000) as last:
            _, written, passed_over = await last.done()

    assert int(written) + int(passed_over) == 3_000
    assert int(passed_over) >= 200
    await assert_imported_once(url, 3_000)


async def test_an_import_goes_on_when_postgres_was_killed(postgres: EmbeddedPostgres, url: str) -> None:
    async with asyncio.timeout(90), importing(url, 4_000) as importer:
        await importer.said()
        await postgres.kill()
        await postgres.restart()

        assert (await importer.done())[0] == "done"

    await assert_imported_once(url, 4_000)


async def test_a_frozen_import_stops_nobody(url: str) -> None:
    async with asyncio.timeout(90), importing(url, 6_000) as importer, PostgresEventStore.open(url) as store:
        for _ in range(8):
            await importer.said()
            os.kill(importer.process.pid, signal.SIGSTOP)
            async with asyncio.timeout(5):
                for _ in range(20):
                    await store.append(append_to())
            os.kill(importer.process.pid, signal.SIGCONT)
        assert await importer.done() == ["done", "6000", "0"]
        assert (await store.head()).number == 6_000 + 8 * 20
        assert not (await verify_log(url)).findings


async def test_a_copy_that_stops_half_way_holds_nothing(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("set role es_append")
        await connection.execute("select es.open_import_v1()")
        async with asyncio.timeout(20), PostgresEventStore.open(url) as store:
            await store.append(append_to())
            copying = connection.cursor().copy("copy pg_temp.import_row from stdin (format binary)")
            with suppress(psycopg.errors.DataError):
                async with copying as copy:
                    await copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\x00\x10\x00\x00")
                    for _ in range(20):
                        await store.append(append_to())
            assert (await store.head()).number == 21
