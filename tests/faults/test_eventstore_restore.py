"""A dump restored into a fresh cluster goes on where it was: log, chain, keys, checkpoints, rights."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psycopg
import pytest

from eventstore.audit.verify import verify
from eventstore.care.examination import examine
from eventstore.following.projector import Projector
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import LEDGER_LANE, Filter, Position
from stack.postgres import EmbeddedPostgres
from tests.fix_events import TENANT, append_to, event, read_everything
from tests.fix_postgres import FORGETFUL, postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

SETTINGS: Final = {"event_partition_size": "100", "pulse_partition_size": "100"}
#: Roles that every cluster has, and what only psql understands.
_NOT_OURS: Final = re.compile(rb"^(?:(?:CREATE|ALTER) ROLE postgres\b|\\(?:un)?restrict ).*\n", re.MULTILINE)


class Counting:
    """A projection that counts what it was given since it was made."""

    name = "counting"
    version = 1
    lanes = (LEDGER_LANE,)
    only = Filter()

    def __init__(self) -> None:
        self.applied: list[int] = []

    async def apply(self, _connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Remember the positions."""
        self.applied += [each.position.number for each in page]

    async def reset(self, _connection: AsyncConnection[Any]) -> None:
        """Forget them."""
        self.applied.clear()


async def project(url: str, until: Position) -> Sequence[int]:
    """Run the projection up to a position; gives what it was given."""
    counting = Counting()
    async with PostgresEventStore.open(url) as store:
        projector = Projector(store, url, counting)
        async with projector.running():
            await projector.wait_until(until, 20)
    return counting.applied


async def output(cluster: EmbeddedPostgres, program: str, *arguments: str) -> bytes:
    """Return what a program of a cluster prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        cluster.binaries / program, *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said


async def fed(cluster: EmbeddedPostgres, script: bytes, url: str) -> None:
    """Have psql run a script, which must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(cluster.binaries / "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    await process.communicate(script)
    assert process.returncode == 0


async def restored(source: EmbeddedPostgres, url: str, target: EmbeddedPostgres) -> str:
    """Dump a database and the roles, and restore both into another cluster; gives the new URL."""
    roles = await output(source, "pg_dumpall", "--roles-only", f"--dbname={url}")
    dump = await output(source, "pg_dump", url)
    await fed(target, _NOT_OURS.sub(b"", roles), target.conninfo())
    copy = await target.create_database("copied")
    await fed(target, _NOT_OURS.sub(b"", dump), copy)
    return copy


@asynccontextmanager
async def two_clusters() -> AsyncGenerator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """Run two clusters that know nothing of each other."""
    binaries = postgres_binaries()
    async with (
        EmbeddedPostgres.throwaway(binaries=binaries, settings=FORGETFUL) as first,
        EmbeddedPostgres.throwaway(binaries=binaries, settings=FORGETFUL) as second,
    ):
        if not (first.binaries / "pg_dump").exists():
            pytest.skip("this Postgres comes without pg_dump")
        yield first, second


async def test_a_dump_restored_into_a_fresh_cluster_goes_on_where_it_was() -> None:
    stream_id = uuid4()
    repeated = append_to(stream_id, 3)
    async with asyncio.timeout(120), two_clusters() as (source, target):
        url = await source.create_database("ledger")
        await migrate(url, settings=SETTINGS)
        async with PostgresEventStore.open(url) as store:
            for _ in range(50):
                await store.append(append_to(count=5))
            first_answer = await store.append(repeated)
            await store.append_pulse(stream_id, "worker", TENANT, event())
            before = await read_everything(store)
        assert len(await project(url, first_answer.position)) == 253

        copy = await restored(source, url, target)
        async with PostgresEventStore.open(copy) as store:
            assert await read_everything(store) == before
            assert (await verify(store)).defect is None
            again = await store.append(repeated)
            appended = await store.append(append_to(stream_id, 60, expected=3))
            assert (await verify(store)).events_count == 313

        assert (again.position, again.recorded_at, again.duplicate) == (
            first_answer.position,
            first_answer.recorded_at,
            True,
        )
        assert appended.position.number == 313
        assert await project(copy, appended.position) == list(range(254, 314))
        findings = {each.name async for each in examine(copy, deep=True) if each.findings}
        assert findings <= {"settings"}
        assert await migrate(copy) == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            await _delete_everything(copy)


async def _delete_everything(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("delete from es.event")
