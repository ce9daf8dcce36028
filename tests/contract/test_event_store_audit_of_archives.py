"""Archived events are audited like the others: exported with their proof, and their seals verified."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.audit import standalone
from eventstore.audit.export import export
from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.selection import EventRange, Selected
from eventstore.audit.verify_log import verify_log
from eventstore.errors import EventsArchived
from eventstore.postgres import PostgresEventStore
from eventstore.types import NewEvent, StreamAppend
from tests.fix_events import TENANT, append_to
from tests.fix_seals import SIGNER, SealedLog, found, seal_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from eventstore.audit.bundle import Exported

pytest_plugins = ["tests.fix_postgres"]

JOB = UUID(int=79)


@pytest_asyncio.fixture
async def archived_log(database_url: str, tmp_path: Path) -> AsyncIterator[SealedLog]:
    """Give a sealed log of 2,400 events, the first of them archived; a job has events in both places."""
    folder = tmp_path / "cold"
    folder.mkdir()
    storage, seals = FolderStorage(folder), DirectorySealArchive(tmp_path / "seals")
    async with PostgresEventStore.open(database_url, cold=storage) as store:
        for _ in range(3):
            await store.append(append_to(count=799))
            of_job = NewEvent("test.v1.Happened", b"x", correlation_id=JOB)
            await store.append(StreamAppend(uuid4(), "job", TENANT, [of_job]))
        await seal_everything(database_url, seals, events_max=300)
        archiver = Archiver(store, database_url, storage)
        for each in await archiver.due(timedelta(0)):
            await archiver.archive(each)
        yield SealedLog(database_url, store, seals, tmp_path / "seals")


async def nothing(_: Exported) -> None:
    """Do nothing before a release."""


async def test_the_seals_of_archived_events_are_verified_and_the_rest_is_walked(
    archived_log: SealedLog,
) -> None:
    verdict = await archived_log.verify()

    assert verdict.intact, verdict.findings
    assert verdict.archived_events_count in {1_000, 2_000}
    assert verdict.events_count + verdict.archived_events_count == 2_400


async def test_a_changed_event_after_the_archive_is_found(archived_log: SealedLog) -> None:
    await archived_log.force_any("update es.event set payload = 'lies' where position = 2_345")

    assert found(await archived_log.verify())[0] == ("hash", 2_345, 2_345, None)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (EventRange(), 2_400),
        (EventRange(990, 1_010), 21),
        (Selected("correlation", JOB), 3),
        (Selected("tenant", TENANT), 2_400),
    ],
)
async def test_archived_events_are_exported_with_their_proof(
    archived_log: SealedLog, tmp_path: Path, wanted: EventRange | Selected, count: int
) -> None:
    target = tmp_path / "b"

    exported = await export(archived_log.url, archived_log.store, wanted, target, before_release=nothing)

    assert (exported.events_count, exported.unsealed_count) == (count, 0)
    key = SIGNER.public_key.hex()
    assert standalone.main([str(target), "--public-key", key]) == standalone.PROVEN


async def test_without_the_archive_nothing_is_exported_in_part(
    archived_log: SealedLog, tmp_path: Path
) -> None:
    async with PostgresEventStore.open(archived_log.url) as blind:
        with pytest.raises(EventsArchived):
            await export(archived_log.url, blind, EventRange(), tmp_path / "out", before_release=nothing)

    assert not (tmp_path / "out").exists()  # of a test


async def test_processes_side_by_side_agree_on_an_archived_log(archived_log: SealedLog) -> None:
    keys = frozenset([SIGNER.public_key])
    together = await verify_log(archived_log.url, seals=archived_log.archive, keys=keys, workers=2)

    assert together == await archived_log.verify()
