"""Nothing is ever in neither place: whoever is killed, whatever the storage does, whoever reads for long."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.archive.archiver import Archiver, Step
from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.object_storage import ObjectStorageUnavailable
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.restore import Restorer
from eventstore.archive.session import ArchiveRefused, ReadersInTheWay
from eventstore.audit.verify import verify
from eventstore.connections import READ_ROLE, connect
from eventstore.errors import ArchiveDamaged
from eventstore.postgres import PostgresEventStore
from eventstore.types import Filter, Position
from tests.fix_events import append_to, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from eventstore.archive.partition_list import PartitionInfo
    from eventstore.types import StoredEvent

pytest_plugins = ["tests.fix_postgres"]

ARCHIVING: Final = Path(__file__).with_name("eventstore_archiving.py")
ROOT: Final = Path(__file__).resolve().parents[2]
NOW: Final = timedelta()
START: Final = Position(0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the archive's folder."""
    return tmp_path / "cold"


@pytest_asyncio.fixture
async def ledger(database_url: str, folder: Path) -> AsyncIterator[PostgresEventStore]:
    """Give a store with two full partitions and a third that is written to."""
    async with PostgresEventStore.open(database_url, cold=FolderStorage(folder)) as opened:
        stream_id = uuid4()
        for number in range(21):
            await opened.append(append_to(stream_id if number % 3 else None, 110))
        yield opened


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[psycopg.AsyncConnection]:
    """Connect as the superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def archive_until(url: str, folder: Path, step: str) -> int | None:
    """Run a process that archives and dies at a step; return how it ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ARCHIVING), url, str(folder), step),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
    )
    return await process.wait()


async def archive_all(store: PostgresEventStore, url: str, storage: FolderStorage) -> int:
    """Archive what is due in this process."""
    archiver = Archiver(store, url, storage)
    due = await archiver.due(NOW)
    for each in due:
        await archiver.archive(each)
    return len(due)


async def check_whole(store: PostgresEventStore, log: Sequence[StoredEvent]) -> None:
    """See that every event is read, once, by position and by stream."""
    assert await read_everything(store) == log
    stream_id = log[200].stream_id
    assert await read_stream(store, log) == [each for each in log if each.stream_id == stream_id]
    assert (await verify(store)).defect is None


async def read_stream(store: PostgresEventStore, log: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
    """Return the long stream that goes through all partitions."""
    return await store.read_stream(log[200].stream_id, limit=10_000)


@pytest.mark.parametrize("step", list(Step), ids=lambda each: each.value)
async def test_killed_at_any_step_the_next_run_goes_on(
    ledger: PostgresEventStore, database_url: str, folder: Path, step: Step
) -> None:
    log = await read_everything(ledger)

    assert await archive_until(database_url, folder, step.value) == -9

    await check_whole(ledger, log)
    assert await archive_all(ledger, database_url, FolderStorage(folder)) >= 1
    await check_whole(ledger, log)
    async with session(database_url) as connection:
        left = await connection.execute(
            "select relname from pg_class where relname in ('event_from_1', 'event_from_1001')"
        )
        assert await left.fetchall() == []
    assert len(await FolderStorage(folder).names("")) == 4


async def test_killed_at_every_step_one_after_the_other(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    log = await read_everything(ledger)
    for step in Step:
        assert await archive_until(database_url, folder, step.value) == -9
        await check_whole(ledger, log)

    assert await archive_until(database_url, folder, "never") == 0

    await check_whole(ledger, log)


async def test_two_that_archive_at_once_do_no_harm(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    log = await read_everything(ledger)

    ends = await asyncio.gather(*(archive_until(database_url, folder, "never") for _ in range(2)))

    assert 0 in ends
    await check_whole(ledger, log)
    assert await archive_all(ledger, database_url, FolderStorage(folder)) == 0


async def test_reads_go_on_while_partitions_leave(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    log = await read_everything(ledger)
    archiving = asyncio.create_task(archive_until(database_url, folder, "never"))
    rounds = 0

    while not archiving.done():
        assert await read_everything(ledger, page=170) == log
        assert len(await read_stream(ledger, log)) == 14 * 110
        rounds += 1

    assert (await archiving, rounds > 0) == (0, True)
    await check_whole(ledger, log)


async def test_a_long_reader_delays_the_detach_and_appends_no_longer_than_the_lock_is_waited_for(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    slowest = 0.0
    archiver = Archiver(ledger, database_url, FolderStorage(folder), detach_tries_max=4)
    (first, *_) = await archiver.due(NOW)
    ended = asyncio.Event()

    async def _append() -> None:
        nonlocal slowest
        while not ended.is_set():
            began = time.perf_counter()
            await ledger.append(append_to())
            slowest = max(slowest, time.perf_counter() - began)

    async with session(database_url) as connection:
        async with connection.transaction():
            await connection.execute("select count(*) from es.event")
            appending = asyncio.create_task(_append())
            with pytest.raises(ReadersInTheWay):
                await archiver.archive(first)
            ended.set()
            await appending
        assert slowest < 2.0, "an append waited for more than a lock timeout, and some"
        assert (await (await connection.execute("select count(*) from es.archive")).fetchone()) == (1,)

    log = await read_everything(ledger)
    due = len(await archiver.due(NOW))
    assert due >= 2
    assert await archive_all(ledger, database_url, FolderStorage(folder)) == due
    await check_whole(ledger, log)


def objects(folder: Path, pattern: str) -> Sequence[Path]:
    """Return the archive's files."""
    return sorted(folder.rglob(pattern))


def flipped(source: Path, target: Path, place: float) -> Path:
    """Flip a bit of a file, so far into it."""
    content = bytearray(source.read_bytes())
    # The first four bytes are the format's name, which nobody reads: no event stands there.
    content[max(4, int(len(content) * place))] ^= 0x10
    target.write_bytes(content)
    return target


def cut(source: Path, target: Path) -> Path:
    """Leave a file's end out."""
    target.write_bytes(source.read_bytes()[:-500])
    return target


class FailingStorage(FolderStorage):
    """A folder whose disk does one thing wrong."""

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(folder)
        self.fault = fault

    async def put_if_absent(self, name: str, content: Path) -> bool:
        """Refuse, or store something else."""
        if self.fault == "refuses":
            raise ObjectStorageUnavailable("access denied")
        if self.fault == "flips" and ".events." in name:
            content = flipped(content, content.with_name("flipped"), 0.3)
        if self.fault == "cuts" and ".events." in name:
            content = cut(content, content.with_name("cut"))
        return await super().put_if_absent(name, content)

    async def read(self, name: str, start: int, length: int) -> bytes:
        """Return less than there is."""
        content = await super().read(name, start, length)
        return content[: length // 2] if self.fault == "ends early" else content


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("refuses", ObjectStorageUnavailable),
        ("ends early", ObjectStorageUnavailable),
        ("flips", ArchiveDamaged),
        ("cuts", ArchiveDamaged),
    ],
)
async def test_a_storage_that_fails_lets_nothing_leave_the_database(
    ledger: PostgresEventStore,
    database_url: str,
    folder: Path,
    fault: str,
    error: type[Exception],
) -> None:
    log = await read_everything(ledger)
    archiver = Archiver(ledger, database_url, FailingStorage(folder, fault))
    (first, *_) = await archiver.due(NOW)

    with pytest.raises(error):
        await archiver.archive(first)

    async with session(database_url) as connection:
        assert await (await connection.execute("select from es.archive")).fetchall() == []
    async with PostgresEventStore.open(database_url) as without:
        assert await read_everything(without) == log


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("content", ["events", "streams"])
async def test_a_flipped_bit_in_the_archive_is_refused_with_its_positions(
    ledger: PostgresEventStore, database_url: str, folder: Path, content: str, place: float
) -> None:
    log = await read_everything(ledger)
    await archive_all(ledger, database_url, FolderStorage(folder))
    (path, *_) = objects(folder, f"*.{content}.parquet")
    flipped(path, path, place)

    async with PostgresEventStore.open(database_url, cold=FolderStorage(folder)) as again:
        with pytest.raises(ArchiveDamaged, match=r"is damaged: what it holds of positions 1 to 1000"):
            await (read_everything(again) if content == "events" else read_stream(again, log))
        assert (await again.read_all(Position(0, 1_000), limit=5)).events == log[1_000:1_005]


async def test_an_archive_that_is_lost_is_trouble_and_no_end_of_the_log(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    await archive_all(ledger, database_url, FolderStorage(folder))
    for path in objects(folder, "*.parquet"):
        path.unlink()

    with pytest.raises(ObjectStorageUnavailable):
        await ledger.read_all(START)


async def test_what_storage_lost_before_the_database_let_go_is_stored_again(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    log = await read_everything(ledger)
    assert await archive_until(database_url, folder, Step.RECORDED.value) == -9
    for path in objects(folder, "*.events.parquet"):
        path.unlink()

    await archive_all(ledger, database_url, FolderStorage(folder))

    await check_whole(ledger, log)
    async with PostgresEventStore.open(database_url, cold=FolderStorage(folder)) as again:
        assert await read_everything(again) == log


async def test_what_storage_altered_before_the_database_let_go_keeps_the_partition_there(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    log = await read_everything(ledger)
    assert await archive_until(database_url, folder, Step.RECORDED.value) == -9
    (path,) = objects(folder, "*.events.parquet")
    flipped(path, path, 0.5)

    with pytest.raises(ArchiveDamaged):
        await archive_all(ledger, database_url, FolderStorage(folder))

    async with PostgresEventStore.open(database_url) as without:
        assert await read_everything(without) == log
    path.unlink()
    await archive_all(ledger, database_url, FolderStorage(folder))
    await check_whole(ledger, log)


async def test_what_was_altered_in_the_database_is_not_archived(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    async with session(database_url) as connection:
        await connection.execute("alter table es.event_from_1 disable trigger append_only")
        await connection.execute("update es.event_from_1 set actor = 'x' where position = 700")

    with pytest.raises(ArchiveRefused, match="position 700 does not fit the chain"):
        await archive_all(ledger, database_url, FolderStorage(folder))

    async with session(database_url) as connection:
        assert await (await connection.execute("select from es.archive")).fetchall() == []


async def test_the_database_lets_go_of_nothing_that_is_not_recorded(
    ledger: PostgresEventStore, database_url: str, folder: Path
) -> None:
    async with session(database_url) as connection:
        await connection.execute("set role es_archive")
        for statement in (
            "select es.detach_partition_v1(1)",
            "select es.drop_partition_v1(1)",
            "select es.delete_archive_v1(1, interval '0')",
            "select es.begin_restore_v1(1)",
            "select es.attach_restored_v1(1, interval '0')",
            "alter table es.event detach partition es.event_from_1",
            "drop table es.event_from_1",
            "insert into es.archive (from_position) values (1)",
            "delete from es.archive",
            "select es.refuse_populated_partition_v1(1)",
        ):
            with pytest.raises(psycopg.Error):
                await connection.execute(statement.encode())
    await archive_all(ledger, database_url, FolderStorage(folder))
    async with session(database_url) as connection:
        await connection.execute("set role es_archive")
        for statement in (
            "select es.detach_partition_v1(2001)",
            "select es.forget_archive_v1(1)",
            "select es.delete_archive_v1(1001, interval '0')",
            "select es.delete_archive_v1(1, interval '1 day')",
            "select es.delete_archive_v1(1, interval '-1 day')",
            "select es.begin_restore_v1(1)",
        ):
            with pytest.raises(psycopg.Error):
                await connection.execute(statement.encode())


@dataclass
class Hunt:
    """Readers that compare whatever they read with the log as it was, until they are told to stop."""

    store: PostgresEventStore
    log: Sequence[StoredEvent]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    rounds: int = 0

    async def pages(self, chance: random.Random) -> None:
        """Read pages of everything."""
        while not self.ended.is_set():
            after, limit = chance.randrange(len(self.log)), chance.randint(1, 700)
            events = (await self.store.read_all(Position(0, after), limit=limit)).events
            assert 0 < len(events) <= limit
            assert list(events) == list(self.log[after : after + len(events)])
            self.rounds += 1

    async def filtered(self, chance: random.Random) -> None:
        """Read pages of what a filter wants: nothing in them shows a hole."""
        while not self.ended.is_set():
            only = Filter(categories=frozenset({f"kind {chance.randrange(3)}"}))
            after, limit = chance.randrange(len(self.log)), chance.randint(1, 700)
            page = await self.store.read_all(Position(0, after), limit=limit, only=only)
            read = self.log[after : page.scanned.number]
            assert list(page.events) == [each for each in read if only.wants(each)][:limit]
            self.rounds += 1

    async def streams(self, chance: random.Random) -> None:
        """Read streams from a version on."""
        ids = sorted({each.stream_id for each in self.log})
        while not self.ended.is_set():
            stream_id, version = chance.choice(ids), chance.randint(1, 40)
            read = await self.store.read_stream(stream_id, from_version=version)
            assert list(read) == [
                each for each in self.log if each.stream_id == stream_id and each.version >= version
            ]
            self.rounds += 1


async def test_readers_miss_nothing_while_partitions_leave_and_come_back(
    database_url: str, folder: Path
) -> None:
    storage = FolderStorage(folder)
    async with PostgresEventStore.open(database_url, cold=storage) as store:
        streams = [uuid4() for _ in range(20)]
        for number in range(150):
            kind = number % 20
            await store.append(append_to(streams[kind], 30, category=f"kind {kind % 3}"))
        hunt = Hunt(store, await read_everything(store))
        archiver, restorer = Archiver(store, database_url, storage), Restorer(store, database_url)
        readers = [
            asyncio.create_task(read(random.Random(number)))  # noqa: S311  # the same places each time
            for number, read in enumerate([hunt.pages, hunt.filtered, hunt.streams] * 2)
        ]
        chance = random.Random(1)  # noqa: S311  # same
        for _ in range(16):
            due = await archiver.due(NOW)
            archived = await archived_now(database_url)
            if due and (not archived or chance.random() < 0.5):
                await archiver.archive(due[0])
            elif archived:
                await restorer.restore(archived[-1], NOW)
        hunt.ended.set()
        await asyncio.gather(*readers)
    assert hunt.rounds > 50


async def archived_now(url: str) -> Sequence[PartitionInfo]:
    """Return the partitions that are in storage only."""
    async with await connect(url, READ_ROLE, "test") as connection:
        return [each for each in await list_partitions(connection) if each.state == "archived"]
