"""The monitor keeps the logs as long as they are to be kept: archive, deletion, pulses, and health."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from eventstore.__main__ import cli
from eventstore.archive.archiver import Archiver
from eventstore.archive.partition_list import list_partitions
from eventstore.archive.retention import Retention
from eventstore.archive.session import alone
from eventstore.connections import READ_ROLE, connect
from eventstore.postgres import PostgresEventStore
from eventstore.types import PULSE_LANE, Position
from services.monitor import health
from services.monitor.partition_keeper import PartitionKeeper
from services.projections.reading import Reads
from services.runtime.archive_storage import S3_ADAPTER, open_archive
from services.runtime.config import ConfigError, Environment, RetentionConfig
from services.runtime.tables.pool import open_pool
from tests.cloned_database import cloned_database
from tests.fix_events import TENANT, append_to, event, read_everything
from tests.fix_monitor import ROLE, monitor_template, postgres_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_object_storage"]
__all__ = ["monitor_template", "postgres_cluster"]

NOW = timedelta()
YEARS = timedelta(days=3_650)


@dataclass
class House:
    """A database, as a login sees it that has the monitor's role only."""

    url: str
    store: PostgresEventStore

    @asynccontextmanager
    async def keeper(
        self, archive_url: str, hot: timedelta = NOW, keep: timedelta = YEARS, pulses: timedelta = YEARS
    ) -> AsyncGenerator[PartitionKeeper]:
        """Give a keeper."""
        async with (
            open_archive(archive_url) as storage,
            PostgresEventStore.open(self.url, cold=storage) as store,
            open_pool(self.url, role=ROLE, application_name="test") as pool,
        ):
            archiver = None if storage is None else Archiver(store, self.url, storage)
            config = RetentionConfig(hot, keep, pulses)
            yield PartitionKeeper(Reads(pool), Retention(self.url, storage), archiver, config)

    async def states(self, log: str) -> Sequence[str]:
        """Return the states of a log's partitions."""
        async with await connect(self.url, READ_ROLE, "test") as connection:
            return [each.state for each in await list_partitions(connection, NOW) if each.log == log]


@pytest_asyncio.fixture
async def house(postgres_cluster: EmbeddedPostgres, monitor_template: str) -> AsyncIterator[House]:
    """Give a log of two full partitions and a third, and as many of pulses."""
    login = f"monitor_{uuid4().hex[:8]}"
    async with cloned_database(postgres_cluster, monitor_template) as url:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"create role {login} login in role {ROLE}".encode())
        own = make_conninfo(url, user=login)
        async with PostgresEventStore.open(own) as store:
            for _ in range(7):
                await store.append(append_to(count=300))
                pulses = (store.append_pulse(uuid4(), "worker", TENANT, event()) for _ in range(300))
                await asyncio.gather(*pulses)
            yield House(own, store)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"drop owned by {login}".encode())
    async with await psycopg.AsyncConnection.connect(
        postgres_cluster.conninfo(), autocommit=True
    ) as connection:
        await connection.execute(f"drop role {login}".encode())


async def test_without_an_archive_nothing_leaves_the_ledger(house: House) -> None:
    async with house.keeper("", keep=NOW) as keeper:
        assert await keeper.run_once() is False

    assert keeper.trouble == ""
    assert await house.states("event") == ["archivable", "archivable", "newest", "ahead"]
    assert await house.states("pulse") == ["hot", "hot", "newest", "ahead"]


async def test_old_events_go_to_s3_and_old_pulses_go(house: House, bucket: str, s3: S3Client) -> None:
    log = await read_everything(house.store)
    url = f"s3://{bucket}/log"

    async with house.keeper(url, pulses=NOW) as keeper:
        await keeper.run_once()

    assert keeper.trouble == ""
    assert await house.states("event") == ["archived", "archived", "newest", "ahead"]
    assert await house.states("pulse") == ["newest", "ahead"]
    assert len(s3.list_objects_v2(Bucket=bucket, Prefix="log/").get("Contents", [])) == 4
    async with open_archive(url) as cold, PostgresEventStore.open(house.url, cold=cold) as store:
        assert await read_everything(store) == log
        assert (await read_everything(store, PULSE_LANE))[0].position == Position(PULSE_LANE, 2_001)


@pytest.mark.usefixtures("s3")
async def test_an_operator_archives_to_s3_by_the_command(house: House, bucket: str) -> None:
    log = await read_everything(house.store)
    url = f"s3://{bucket}/log"
    where = ("--database", house.url, "--to", url, "--storage", S3_ADAPTER, "--json")

    async def _run(*arguments: str) -> list[dict[str, object]]:
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    done = await _run("archive", *where, "--older-than", "0s")
    assert [each["from_position"] for each in done] == [1, 1_001]
    status = await _run("archive", "status", *where)
    assert [each["events"] for each in status] == [len(log) - 2_000, 2_000]
    restored = await _run("archive", "restore", *where, "--from-position", "1001")
    assert [each["state"] for each in restored] == ["restored"]
    assert await house.states("event") == ["archived", "restored", "newest", "ahead"]


async def test_young_events_stay(house: House, tmp_path: Path) -> None:
    async with house.keeper(str(tmp_path), hot=timedelta(days=1), pulses=timedelta(days=1)) as keeper:
        await keeper.run_once()

    assert "archived" not in await house.states("event")
    assert await house.states("pulse") == ["hot", "hot", "newest", "ahead"]


async def test_what_was_kept_long_enough_is_deleted(house: House, tmp_path: Path) -> None:
    async with house.keeper(str(tmp_path / "cold"), keep=NOW) as keeper:
        await keeper.run_once()

    assert await house.states("event") == ["deleted", "deleted", "newest", "ahead"]
    assert [name for _, _, names in os.walk(tmp_path / "cold") for name in names] == []


@pytest.mark.usefixtures("s3")
async def test_an_archive_that_fails_shows_in_the_health_and_stops_nothing_else(
    house: House, tmp_path: Path
) -> None:
    async with house.keeper("s3://no-such-bucket-anywhere", pulses=NOW) as keeper:
        assert await keeper.run_once() is False

        assert "NoSuchBucket" in keeper.trouble
        assert health.retention_part(keeper.trouble).state == health.DEGRADED
    assert await house.states("event") == ["archivable", "archivable", "newest", "ahead"]
    assert await house.states("pulse") == ["newest", "ahead"]
    async with house.keeper(str(tmp_path)) as keeper:
        await keeper.run_once()
        assert health.retention_part(keeper.trouble).state == health.HEALTHY
    assert await house.states("event") == ["archived", "archived", "newest", "ahead"]


async def test_an_archiving_that_somebody_else_does_is_no_trouble(house: House, tmp_path: Path) -> None:
    async with house.keeper(str(tmp_path)) as keeper, alone(house.url):
        await keeper.run_once()

    assert keeper.trouble == ""
    assert await house.states("event") == ["archivable", "archivable", "newest", "ahead"]


def test_times_are_days_and_archived_events_are_kept_longer_than_hot_ones() -> None:
    names = {"DIRECTORYBOLT_ARCHIVE_HOT_DAYS": "10", "DIRECTORYBOLT_PULSE_KEEP_DAYS": "0.5"}
    assert RetentionConfig.read(Environment(names)) == RetentionConfig(
        timedelta(days=10), timedelta(days=365), timedelta(hours=12)
    )
    with pytest.raises(ConfigError, match="ARCHIVE_KEEP_DAYS must be at least"):
        RetentionConfig.read(Environment({"DIRECTORYBOLT_ARCHIVE_HOT_DAYS": "400"}))
