"""The release before goes on working on the newest schema, beside the newest code, and while it migrates."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tarfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.care.examination import examine
from eventstore.errors import EventStoreError
from eventstore.migrate import DatabaseNewer, MigrationBlocked, load, migrate, pending
from eventstore.postgres import PostgresEventStore
from eventstore.types import NewEvent, StreamAppend
from tests.fix_events import TENANT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres"]

ROOT: Final = Path(__file__).resolve().parents[2]
RELEASES: Final = ROOT / "tests" / "releases"
WORKER: Final = RELEASES / "release_worker.py"
NEW: Final = ROOT
MAKE_COUNTED: Final = "create table public.counted (position bigint primary key)"


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that holds the package of the release before."""
    (archive,) = RELEASES.glob("eventstore_*.tar.xz")
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


async def start(code: Path, verb: str, url: str, number: int = 0) -> asyncio.subprocess.Process:
    """Start the worker with a release's code."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(WORKER), verb, url, str(number)),
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        stdout=asyncio.subprocess.PIPE,
    )


async def said(process: asyncio.subprocess.Process) -> list[list[str]]:
    """Return the words of each line, once the worker has ended well."""
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2_000:]
    return [line.split() for line in output.decode().splitlines()]


async def run(code: Path, verb: str, url: str, number: int = 0) -> list[list[str]]:
    """Run the worker with a release's code to its end."""
    return await said(await start(code, verb, url, number))


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def bare(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[str]:
    """Give an empty database."""
    name = f"release_{uuid4().hex[:8]}"
    yield await postgres_cluster.create_database(name)
    await postgres_cluster.drop_database(name)


async def assert_healthy(url: str) -> None:
    """Have the doctor look at everything; the tests' cluster forgets its writes in a crash."""
    findings = {each.name: each.findings async for each in examine(url, deep=True) if each.findings}
    findings.pop("settings", None)
    assert findings == {}


async def test_old_and_new_code_append_at_once_and_read_the_same_log(database_url: str, old: Path) -> None:
    writers = [await start(code, "write", database_url, 150) for code in (old, NEW, old, NEW)]
    lines = [line for each in await asyncio.gather(*(said(one) for one in writers)) for line in each]
    logs = await asyncio.gather(run(old, "read", database_url), run(NEW, "read", database_url))

    acknowledged = {(position, event_id) for _, event_id, position in lines}
    assert len(acknowledged) == len(lines) >= 600
    assert logs[0] == logs[1]
    assert [int(line[0]) for line in logs[0]] == list(range(1, len(lines) + 1))
    assert acknowledged == {(position, event_id) for position, event_id, *_ in logs[0]}
    sound = [[str(len(lines)), "None"]]
    assert [await run(code, "verify", database_url) for code in (old, NEW)] == [sound, sound]
    await assert_healthy(database_url)


async def test_old_and_new_code_project_in_turns_and_count_every_event_once(
    database_url: str, old: Path
) -> None:
    async with session(database_url) as connection:
        await connection.execute(MAKE_COUNTED)
    for code, until in ((old, 60), (NEW, 130), (old, 210), (NEW, 230)):
        await run(NEW, "write", database_url, until - await head_of(database_url))
        await run(code, "project", database_url, until)
        async with session(database_url) as connection:
            cursor = await connection.execute("select array_agg(position order by position) from counted")
            counted = await cursor.fetchone()
        assert counted == (list(range(1, await head_of(database_url) + 1)),)
    await assert_healthy(database_url)


async def head_of(url: str) -> int:
    """Return the last position."""
    async with PostgresEventStore.open(url) as store:
        return (await store.head()).number


async def test_what_old_code_appended_new_code_recognises(database_url: str, old: Path) -> None:
    _, event_id, position = (await run(old, "write", database_url, 1))[0]
    async with PostgresEventStore.open(database_url) as store, session(database_url) as connection:
        cursor = await connection.execute(
            "select stream_id, event_id from es.event where position = %s", [position]
        )
        row = await cursor.fetchone()
        assert row is not None
        again = NewEvent("release.v1.Happened", b"x", row[1])
        answer = await store.append(StreamAppend(row[0], "release", TENANT, [again]))

    assert str(row[1]) == event_id
    assert (answer.duplicate, answer.position.number) == (True, int(position))


async def test_migrating_a_full_database_fails_no_append_of_the_release_before(bare: str, old: Path) -> None:
    await run(old, "migrate", bare)
    await run(old, "write", bare, 1_200)
    async with session(bare) as connection:
        await connection.execute(MAKE_COUNTED)
    await run(old, "project", bare, 1_000)
    told: list[str] = []

    writer = await start(old, "write", bare)
    applied = await migrate(bare, tell=told.append)
    newer = await start(NEW, "write", bare, 200)
    await said(newer)
    writer.send_signal(signal.SIGTERM)
    output, _ = await writer.communicate()

    assert "failed" not in output.decode()
    assert len(output.splitlines()) > 0
    assert [each.number for each in applied] == list(range(3, len(load()) + 1))
    assert [line.split(":")[0] for line in told if "trying again" not in line] == [
        each.label for each in applied
    ]
    log = await run(NEW, "read", bare)
    assert [int(line[0]) for line in log] == list(range(1, len(log) + 1))
    await run(NEW, "project", bare, len(log))
    await assert_healthy(bare)


async def test_a_database_that_a_later_release_migrated_is_refused(database_url: str) -> None:
    async with session(database_url) as connection:
        await connection.execute(
            "insert into es.migration (number, name, checksum) values (9999, 'later', '')"
        )

    for refused in (migrate, pending):
        with pytest.raises(DatabaseNewer, match="9999_later, and this release ends at") as error:
            await refused(database_url)
        assert isinstance(error.value, EventStoreError)


async def test_a_dry_run_changes_nothing(bare: str) -> None:
    assert [each.label for each in await pending(bare)] == [each.label for each in load()]
    async with session(bare) as connection:
        cursor = await connection.execute("select count(*) from pg_namespace where nspname = 'es'")
        assert await cursor.fetchone() == (0,)
    await migrate(bare)

    assert await pending(bare) == []


async def test_a_migration_waits_for_its_table_and_then_says_who_to_look_for(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.sql").write_text("-- Makes it.\ncreate table public.beside (id int);")
    await migrate(database_url, folder=tmp_path, schema="elsewhere")
    (tmp_path / "0002_second.sql").write_text("-- Widens it.\nalter table public.beside add column more int;")
    told: list[str] = []
    in_use = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        if "in use" in line:
            in_use.set()

    async with session(database_url) as connection:
        async with connection.transaction():
            await connection.execute("select from public.beside")
            with pytest.raises(MigrationBlocked, match="0002_second"):
                await migrate(
                    database_url, folder=tmp_path, schema="elsewhere", patience_seconds=1.5, tell=tell
                )
            in_use.clear()
            waiting = asyncio.create_task(
                migrate(database_url, folder=tmp_path, schema="elsewhere", tell=tell)
            )
            await in_use.wait()
        assert [each.label for each in await waiting] == ["0002_second"]
    assert told[0] == "0002_second: Widens it."
