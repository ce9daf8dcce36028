"""What the commands of retention do to a store, and what they say of it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from click.testing import CliRunner

from eventstore.__main__ import cli
from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.audit.verify import verify
from eventstore.audit.verify_log import verify_log
from eventstore.errors import EventsDeleted
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.erasure import events_of
from eventstore.types import PULSE_LANE, Filter, Position
from tests.fix_events import TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from click.testing import Result

pytest_plugins = ["tests.fix_postgres"]

START = Position(0, 0)


async def command(*arguments: str) -> Result:
    """Run `python -m eventstore` in this process."""
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments)


async def rows(*arguments: str) -> list[dict[str, Any]]:
    """Run a command that succeeds and return the JSON that it prints."""
    result = await command(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Give a place for the archive."""
    return str(tmp_path / "cold")


@pytest_asyncio.fixture
async def ledger(database_url: str, folder: str, tmp_path: Path) -> AsyncIterator[PostgresEventStore]:
    """Give a store of 2,500 events: two full partitions, and one that is written to."""
    async with PostgresEventStore.open(database_url, cold=FolderStorage(tmp_path / "cold")) as opened:
        for _ in range(5):
            await opened.append(append_to(count=500))
        yield opened


async def archive_oldest(store: PostgresEventStore, url: str, folder: str, count: int) -> None:
    """Archive so many partitions."""
    archiver = Archiver(store, url, FolderStorage(Path(folder)))
    for each in (await archiver.due(timedelta()))[:count]:
        await archiver.archive(each)


async def states(url: str, log: str = "event") -> dict[int, str]:
    """Return the state of each partition."""
    found = await rows("partitions", "--database", url, "--older-than", "0s")
    return {each["from_position"]: each["state"] for each in found if each["log"] == log}


async def test_partitions_are_listed_with_what_they_hold(
    ledger: PostgresEventStore, database_url: str
) -> None:
    found = await rows("partitions", "--database", database_url)

    event_rows = [each for each in found if each["log"] == "event"]
    assert [(each["from_position"], each["state"], each["events"]) for each in event_rows] == [
        (1, "hot", 1_000),
        (1_001, "hot", 1_000),
        (2_001, "newest", 500),
        (3_001, "ahead", 0),
    ]
    assert all(each["bytes"] > 0 for each in event_rows)
    assert await states(database_url) == {
        1: "archivable",
        1_001: "archivable",
        2_001: "newest",
        3_001: "ahead",
    }
    assert (await command("partitions", "--database", database_url)).exit_code == 0


async def test_a_log_without_a_partition_ahead_is_an_alarm(
    ledger: PostgresEventStore, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("delete from es.partition where log = 'event' and from_position = 3001")

    result = await command("partitions", "--database", database_url)

    assert result.exit_code == 1
    assert "log event has no partition ahead" in result.stderr


async def test_archiving_says_what_it_would_do_and_what_it_did(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    log = await read_everything(ledger)
    arguments = ("archive", "--database", database_url, "--to", folder)
    assert await rows(*arguments) == []
    would = await rows(*arguments, "--older-than", "0s", "--dry-run")
    assert [each["from_position"] for each in would] == [1, 1_001]
    assert "archived" not in (await states(database_url)).values()

    done = await rows(*arguments, "--older-than", "0s")

    assert [(each["from_position"], each["events"]) for each in done] == [(1, 1_000), (1_001, 1_000)]
    assert all(0 < each["bytes_in_storage"] < each["bytes_in_database"] for each in done)
    assert await states(database_url) == {1: "archived", 1_001: "archived", 2_001: "newest", 3_001: "ahead"}
    assert await read_everything(ledger) == log
    speeds = await rows("archive", "status", "--database", database_url, "--to", folder)
    assert [(each["events_are"], each["events"], each["events_read"]) for each in speeds] == [
        ("hot", 500, 500),
        ("archived", 2_000, 2_000),
    ]
    assert all(each["reads_per_second"] > 0 for each in speeds)


async def test_what_a_killed_archiving_left_in_storage_is_named(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    await rows("archive", "--database", database_url, "--to", folder, "--older-than", "0s")
    storage = FolderStorage(Path(folder))
    (name, *_) = await storage.names("")
    await storage.put_if_absent(f"{name}.again", Path(__file__))

    result = await command("archive", "status", "--database", database_url, "--to", folder)

    assert result.exit_code == 0
    assert f"nothing recorded consists of {name}.again" in result.stderr
    assert result.stderr.count("nothing recorded") == 1


async def test_an_address_that_no_adapter_knows_is_one_sentence(database_url: str) -> None:
    result = await command("archive", "--database", database_url, "--to", "s3://somewhere")

    assert result.exit_code == 3
    assert "s3: does: name one as module:function" in result.stderr


async def test_deleted_archives_are_gone_and_everybody_is_told(
    ledger: PostgresEventStore, database_url: str, folder: str, tmp_path: Path
) -> None:
    log = await read_everything(ledger)
    await rows("archive", "--database", database_url, "--to", folder, "--older-than", "0s")
    arguments = ("retention", "--database", database_url, "--to", folder)
    assert await rows(*arguments) == []
    would = await rows(*arguments, "--keep", "0s", "--dry-run")
    assert [each["from_position"] for each in would] == [1, 1_001]

    done = await rows(*arguments, "--keep", "0s")

    assert [each["done"] for each in done] == ["deleted archive", "deleted archive"]
    assert not [each for each in (tmp_path / "cold").rglob("*") if each.is_file()]
    assert await states(database_url) == {1: "deleted", 1_001: "deleted", 2_001: "newest", 3_001: "ahead"}
    for reading in (
        ledger.read_all(START),
        ledger.read_all(START, only=Filter(tenant=TENANT)),
        ledger.read_stream(log[0].stream_id),
    ):
        with pytest.raises(EventsDeleted) as told:
            await reading
        assert told.value.first_position == 2_001
    assert (await ledger.read_all(Position(0, 2_000))).events == log[2_000:]
    verdict = await verify(ledger)
    assert (verdict.defect, verdict.begins_after, verdict.events_count) == (None, 2_000, 500)
    assert await rows(*arguments, "--keep", "0s") == []


async def test_what_is_left_of_a_tenant_is_read_after_a_deletion(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    log = await read_everything(ledger)
    await rows("archive", "--database", database_url, "--to", folder, "--older-than", "0s")
    assert [each async for each in events_of(ledger, TENANT, 0)] == log
    await rows("retention", "--database", database_url, "--to", folder, "--keep", "0s")

    assert [each async for each in events_of(ledger, TENANT, 0)] == log[2_000:]


async def test_what_was_deleted_is_not_brought_back(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    store = ("--database", database_url, "--to", folder)
    await rows("archive", *store, "--older-than", "0s")
    await rows("retention", *store, "--keep", "0s")

    assert await rows("archive", "restore", *store, "--from-position", "1") == []
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("set role es_archive")
        for position in (1, 1_001):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="was deleted"):
                await connection.execute("select es.begin_restore_v1(%s)", [position])


async def test_what_was_deleted_halfway_is_deleted_to_the_end(
    ledger: PostgresEventStore, database_url: str, folder: str, tmp_path: Path
) -> None:
    await rows("archive", "--database", database_url, "--to", folder, "--older-than", "0s")
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("select es.delete_archive_v1(1, interval '0')")
    one = min((tmp_path / "cold").rglob("*.parquet"))
    one.unlink()

    done = await rows("retention", "--database", database_url, "--to", folder)

    assert [each["from_position"] for each in done] == [1]
    assert len([each for each in (tmp_path / "cold").rglob("*") if each.is_file()]) == 2


async def test_an_append_sent_again_is_answered_although_its_events_are_gone(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    first = append_to(uuid4(), 600, expected=0)
    answer = await ledger.append(first)
    await ledger.append(append_to(count=1_000))
    await rows("archive", "--database", database_url, "--to", folder, "--older-than", "0s")
    await rows("retention", "--database", database_url, "--to", folder, "--keep", "0s")

    again = await ledger.append(first)

    assert (again.duplicate, again.position, again.versions) == (True, answer.position, answer.versions)
    assert (await ledger.append(append_to(first.stream_id, 1, expected=600))).versions == (601,)


async def test_old_pulses_are_dropped_by_the_partition(
    ledger: PostgresEventStore, database_url: str, folder: str
) -> None:
    for _ in range(5):
        pulses = (ledger.append_pulse(uuid4(), "worker", TENANT, event()) for _ in range(500))
        await asyncio.gather(*pulses)
    assert await states(database_url, "pulse") == {1: "hot", 1_001: "hot", 2_001: "newest", 3_001: "ahead"}
    assert await rows("retention", "--database", database_url) == []

    done = await rows("retention", "--database", database_url, "--keep-pulses", "0s")

    assert [each["from_position"] for each in done] == [1, 1_001]
    left = await read_everything(ledger, PULSE_LANE)
    assert [left[0].position.number, len(left)] == [2_001, 500]
    await ledger.append_pulse(uuid4(), "worker", TENANT, event())
    assert (await ledger.head(PULSE_LANE)).number == 2_501


@pytest.mark.parametrize(
    ("position", "deleted"), [(1_500, False), (2_001, False), (2_001, True), (2_400, True)]
)
async def test_what_is_left_is_verified_from_where_the_archive_ends(
    ledger: PostgresEventStore, database_url: str, folder: str, position: int, *, deleted: bool
) -> None:
    store = ("--database", database_url, "--to", folder)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await archive_oldest(ledger, database_url, folder, 1 if position < 2_000 else 2)
        if deleted:
            await rows("retention", *store, "--keep", "0s")
        assert (await verify_log(database_url)).intact
        table = f"es.event_from_{position // 1_000 * 1_000 + 1}"
        await connection.execute(f"alter table {table} disable trigger append_only".encode())
        forged = "update {} set actor = 'x', hash = sha256(hash) where position = {}"
        await connection.execute(forged.format(table, position).encode())

    verdict = await verify_log(database_url)

    assert verdict.first_bad == Position(0, position)
    assert (await verify(ledger)).first_bad == Position(0, position)
