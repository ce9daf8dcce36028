"""A partition leaves with its log seals: whole, fitting, and remembered for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import pytest_asyncio

from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.retention import Retention
from eventstore.archive.session import ArchiveRefused
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.sealer import LogSealer
from eventstore.audit.verify_log import verify_log
from eventstore.connections import READ_ROLE, connect
from eventstore.postgres import PostgresEventStore
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytest_plugins = ["tests.fix_postgres"]

NOW = timedelta()


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """Give an empty storage."""
    return FolderStorage(tmp_path / "cold")


@pytest_asyncio.fixture
async def ledger(database_url: str, storage: FolderStorage) -> AsyncIterator[PostgresEventStore]:
    """Give a store with two full partitions and a third."""
    async with PostgresEventStore.open(database_url, cold=storage) as opened:
        for _ in range(9):
            await opened.append(append_to(count=250))
        yield opened


async def seal(url: str, *, rounds: int, events_max: int = 400) -> None:
    """Seal the log for some rounds, each of at most so many events."""
    sealer = LogSealer(
        url, LocalSealSigner(bytes(range(32))), None, interval_seconds=0, events_max=events_max
    )
    try:
        for _ in range(rounds):
            await sealer.run_once()
    finally:
        await sealer.close()


async def archive_one(store: PostgresEventStore, url: str, storage: FolderStorage) -> None:
    """Archive the oldest partition."""
    archiver = Archiver(store, url, storage)
    await archiver.archive((await archiver.due(NOW))[0])


async def row_of(url: str, query: str) -> Sequence[Any]:
    """Return a query's first row."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row


async def test_what_is_sealed_halfway_waits_for_its_seals(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await seal(database_url, rounds=2)

    with pytest.raises(ArchiveRefused, match="log seals do not reach position 1000 yet"):
        await archive_one(ledger, database_url, storage)

    await seal(database_url, rounds=1)
    await archive_one(ledger, database_url, storage)
    seals = "select first_seal, last_seal from es.archive_lane where from_position = 1"
    assert await row_of(database_url, seals) == (1, 3)


async def test_a_partition_that_is_not_what_was_sealed_stays(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await seal(database_url, rounds=3)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("alter table es.log_seal disable trigger append_only")
        await connection.execute("update es.log_seal set root = sha256(root) where number = 2")

    with pytest.raises(ArchiveRefused, match="log seal 2 does not fit the events up to position 800"):
        await archive_one(ledger, database_url, storage)

    assert await storage.names("") == []


async def test_seals_outlive_the_events(
    ledger: PostgresEventStore, database_url: str, storage: FolderStorage
) -> None:
    await seal(database_url, rounds=9)
    await archive_one(ledger, database_url, storage)
    await archive_one(ledger, database_url, storage)

    verdict = await verify_log(database_url)
    assert (verdict.intact, verdict.archived_events_count, verdict.events_count) == (True, 2_000, 250)
    assert verdict.seals_count == 7
    async with await connect(database_url, READ_ROLE, "test") as connection:
        sealed = [each.sealed_events for each in await list_partitions(connection) if each.log == "event"]
    assert sealed == [1_000, 1_000, 250, 0]

    await Retention(database_url, storage).delete(1, NOW)

    verdict = await verify_log(database_url)
    assert (verdict.intact, verdict.seals_count) == (True, 7)
    kept = "select to_position, events, deleted_at < erased_at from es.archive order by from_position limit 1"
    assert await row_of(database_url, kept) == (1_001, 1_000, True)
