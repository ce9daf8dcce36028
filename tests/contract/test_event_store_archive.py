"""What archiving promises: every read is the same after it, and nothing is ever in neither place."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.archive.archiver import Archiver
from eventstore.archive.chain_check import lane_ranges
from eventstore.archive.export import export
from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.record import record_of
from eventstore.archive.restore import Restorer
from eventstore.archive.retention import Retention
from eventstore.care.examination import examine
from eventstore.connections import READ_ROLE, connect
from eventstore.errors import EventsArchived
from eventstore.postgres import PostgresEventStore
from eventstore.types import Filter, Position
from tests.fix_events import OTHER_TENANT, TENANT, append_to, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from eventstore.types import StoredEvent

pytest_plugins = ["tests.fix_postgres"]

START = Position(0, 0)
RECORD = "select es.record_archive_v1(%s::jsonb)"
NOW = timedelta()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """Give an empty storage."""
    return FolderStorage(tmp_path / "cold")


@pytest_asyncio.fixture
async def ledger(database_url: str, storage: FolderStorage) -> AsyncIterator[PostgresEventStore]:
    """Give a store that can read archived events."""
    async with PostgresEventStore.open(database_url, cold=storage) as opened:
        yield opened


async def fill(store: PostgresEventStore, events: int) -> Sequence[UUID]:
    """Append about so many events to streams that go on through all of it."""
    streams = [uuid4() for _ in range(7)]
    for number in range(events // 50):
        stream_id = streams[number % 7]
        tenant = OTHER_TENANT if number % 7 == 3 else TENANT
        await store.append(append_to(stream_id, 50, tenant=tenant, category=f"kind {number % 7}"))
    return streams


async def archive_everything_due(store: PostgresEventStore, url: str, storage: FolderStorage) -> int:
    """Archive what is full, whatever its age."""
    archiver = Archiver(store, url, storage)
    due = await archiver.due(NOW)
    for each in due:
        await archiver.archive(each)
    return len(due)


async def everything(store: PostgresEventStore, only: Filter) -> Sequence[StoredEvent]:
    """Return what a filter lets through, read page by page."""
    found: list[StoredEvent] = []
    after = START
    while (page := await store.read_all(after, limit=300, only=only)).scanned != after:
        found += page.events
        after = page.scanned
    return found


async def test_every_read_is_the_same_when_the_oldest_partitions_are_archived(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    streams = await fill(ledger, 3_500)
    filters = [
        Filter(categories=frozenset({"kind 3"})),
        Filter(tenant=OTHER_TENANT),
        Filter(event_types=frozenset({"never seen"})),
    ]
    log = await read_everything(ledger)
    filtered = [await everything(ledger, only) for only in filters]
    histories = [await ledger.read_stream(each) for each in streams]

    assert await archive_everything_due(ledger, database_url, storage) == 3

    assert await read_everything(ledger) == log
    assert await read_everything(ledger, page=77) == log
    assert [await everything(ledger, only) for only in filters] == filtered
    assert [await ledger.read_stream(each) for each in streams] == histories
    assert await ledger.read_stream(streams[3], tenant=TENANT) == []
    assert (
        await ledger.read_stream(streams[3], tenant=OTHER_TENANT, from_version=60, limit=5)
        == histories[3][59:64]
    )


async def test_without_the_storage_a_read_of_archived_events_says_where_they_are(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    streams = await fill(ledger, 1_500)
    await archive_everything_due(ledger, database_url, storage)

    async with PostgresEventStore.open(database_url) as without:
        for reading in (
            without.read_all(START),
            without.read_all(START, only=Filter(tenant=TENANT)),
            without.read_stream(streams[0]),
        ):
            with pytest.raises(
                EventsArchived, match=r"1 to 1000 are archived at file:///.*\.events\.parquet"
            ):
                await reading
        assert (await without.read_all(Position(0, 1_000), limit=1)).events[0].position == Position(0, 1_001)


async def test_pyarrow_is_loaded_by_the_first_archived_read_and_not_before(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await fill(ledger, 1_500)
    await archive_everything_due(ledger, database_url, storage)
    program = f"""
import asyncio, sys
from pathlib import Path
from eventstore.archive.folder_storage import FolderStorage
from eventstore.postgres import PostgresEventStore
from eventstore.types import Position

async def main():
    storage = FolderStorage(Path({storage.url_of("")!r}.removeprefix("file://")))
    async with PostgresEventStore.open({database_url!r}, cold=storage) as store:
        await store.read_all(Position(0, 1_000))
        print("pyarrow" in sys.modules)
        await store.read_all(Position(0, 0))
        print("pyarrow" in sys.modules)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert said.decode().split() == ["False", "True"]


async def test_the_doctor_finds_nothing_wrong_with_what_was_archived_and_brought_back(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await fill(ledger, 3_500)
    archiver = Archiver(ledger, database_url, storage)
    for each in (await archiver.due(NOW))[:2]:
        await archiver.archive(each)
    assert await findings(database_url) == []

    await Retention(database_url, storage).delete(1, NOW)
    assert await findings(database_url) == []

    async with await connect(database_url, READ_ROLE, "test") as connection:
        restorable = [each for each in await list_partitions(connection) if each.state == "archived"]
    await Restorer(ledger, database_url).restore(restorable[0], timedelta(days=1))
    assert await findings(database_url) == []


async def findings(url: str) -> Sequence[str]:
    """Return what the doctor finds, the settings of the tests' server aside."""
    examined = [each async for each in examine(url, deep=True)]
    return [each.what for found in examined if found.name != "settings" for each in found.findings]


async def test_any_reader_of_parquet_reads_the_files_and_what_they_say_of_themselves(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await fill(ledger, 1_500)
    log = await read_everything(ledger)
    await archive_everything_due(ledger, database_url, storage)
    (events_name, streams_name) = sorted(await storage.names(""), key=lambda name: ".streams." in name)
    parquet: Any = importlib.import_module("pyarrow.parquet")

    events = parquet.read_table(storage.url_of(events_name).removeprefix("file://"))
    streams = parquet.read_table(storage.url_of(streams_name).removeprefix("file://"))

    assert events.column("position").to_pylist() == list(range(1, 1_001))
    assert events.column("category").to_pylist() == [each.category for each in log[:1_000]]
    assert events.column("recorded_at").to_pylist() == [each.recorded_at for each in log[:1_000]]
    about = parquet.read_metadata(storage.url_of(events_name).removeprefix("file://")).metadata
    assert about[b"format_version"] == b"1"
    assert (about[b"from_position"], about[b"to_position"]) == (b"1", b"1000")
    assert about[b"hash_before_0"] == b"0" * 64
    assert about[b"end_hash_0"].decode() == log[999].hash.hex()
    assert events_name.startswith(about[b"log_id"].decode())
    ids = [UUID(bytes=each) for each in streams.column("stream_id").to_pylist()]
    assert ids == sorted({each.stream_id for each in log[:1_000]})
    assert sum(streams.column("events").to_pylist()) == 1_000


async def valid_record(store: PostgresEventStore, url: str, storage: FolderStorage, to: Path) -> Any:
    """Return what the database is told of its first partition, when nobody lies."""
    async with await connect(url, READ_ROLE, "test") as connection:
        ranges = await lane_ranges(connection, 1, 1_000)
    exported = await export(store, ranges, to, log_id=uuid4(), told=lambda _: None)
    return json.loads(record_of(exported, storage))


async def test_the_database_takes_no_record_that_does_not_fit_its_log(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage, tmp_path: Path
) -> None:
    await fill(ledger, 2_500)
    record = await valid_record(ledger, database_url, storage, tmp_path)
    (lane,) = record["lanes"]
    lies: Sequence[dict[str, Any]] = [
        {"events": 999},
        {"to_position": 1_002},
        {"to_position": 2_001, "events": 2_000},
        {"from_position": 2},
        {"from_position": 2_001, "to_position": 3_001},
        {"lanes": []},
        {"lanes": [lane, {**lane, "lane": 1}]},
        {"lanes": [{**lane, "end_hash": "00" * 32}]},
        {"lanes": [{**lane, "hash_before": "11" * 32}]},
        {"objects": [{**each, "sha256": "00"} for each in record["objects"]]},
    ]
    async with await connect(database_url, "es_archive", "test") as connection:
        for lie in lies:
            with pytest.raises(psycopg.Error):
                await connection.execute(RECORD, [json.dumps({**record, **lie})])
        for expected in (True, False):
            answer = await connection.execute(RECORD, [json.dumps(record)])
            assert await answer.fetchone() == (expected,)
        other = [{**each, "sha256": "22" * 32} for each in record["objects"]]
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="with other bytes"):
            await connection.execute(RECORD, [json.dumps({**record, "objects": other})])
