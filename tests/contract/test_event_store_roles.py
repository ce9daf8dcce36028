"""No superuser is needed: an ordinary owner migrates, and a login with two memberships works."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from eventstore.errors import StoreUnavailable
from eventstore.following.projector import Projector
from eventstore.migrate import load
from eventstore.postgres import PostgresEventStore
from eventstore.privacy.master_key import LocalMasterKey
from eventstore.privacy.vault import Vault
from eventstore.types import LEDGER_LANE, Filter
from stack.postgres import EmbeddedPostgres
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event
from tests.fix_postgres import postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StoredEvent

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICE: Final = "grant es_append, es_read_all, es_read_tenant, es_project, vault_keeper to service"


async def run(url: str, *statements: str) -> None:
    """Run statements."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


async def migrate_by_command(url: str) -> tuple[int | None, str]:
    """Run `python -m eventstore migrate`; gives the exit code and what it said."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventstore", "migrate"),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    return command.returncode, said.decode()


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    """Give the owner's database in a cluster where nothing of ours exists yet."""
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as cluster:
        await run(
            cluster.conninfo(),
            "create role owner login createrole",
            "create role service login",
            "create database ledger owner owner",
        )
        yield make_conninfo(cluster.conninfo("ledger"), user="owner")


class Nothing:
    """A projection without rows."""

    name = "nothing"
    version = 1
    lanes = (LEDGER_LANE,)
    only = Filter()

    async def apply(self, connection: AsyncConnection[Any], page: Sequence[StoredEvent]) -> None:
        """Write nothing."""

    async def reset(self, connection: AsyncConnection[Any]) -> None:
        """Forget nothing."""


async def use_everything(url: str) -> None:
    """Append, read, project, seal."""
    stream_id = uuid4()
    async with PostgresEventStore.open(url) as store:
        appended = await store.append(append_to(stream_id, 3))
        await store.append_pulse(stream_id, "worker", TENANT, event())
        assert len((await store.read_all(appended.position)).events) == 0
        assert len(await store.read_stream(stream_id, tenant=TENANT)) == 3
        assert len(await store.read_stream(stream_id, tenant=OTHER_TENANT)) == 0
        projector = Projector(store, url, Nothing())
        async with projector.running():
            await projector.wait_until(appended.position, 10)
    async with Vault(url, LocalMasterKey(bytes(32))) as vault:
        sealed = await vault.seal(uuid4(), b"", b"secret")
        assert sealed.ciphertext


async def test_an_ordinary_owner_migrates_and_a_service_needs_memberships_alone(url: str) -> None:
    applied = "".join(f"applied {each.number:04}_{each.name}\n" for each in load())
    code, said = await migrate_by_command(url)
    done = [line for line in said.splitlines(keepends=True) if line.startswith(("applied", "the database"))]
    assert (code, "".join(done)) == (0, applied + "the database is up to date\n")
    assert await migrate_by_command(url) == (0, "the database is up to date\n")
    await use_everything(url)

    service = make_conninfo(url, user="service")
    with pytest.raises(StoreUnavailable):
        async with PostgresEventStore.open(service, patience_seconds=1):
            pass
    await run(url, SERVICE)
    await use_everything(service)

    assert conninfo_to_dict(service)["user"] == "service"
    for statement in ("delete from es.event", "select vault.x()", "create table es.mine ()"):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction)):
            await run(service, statement)


async def test_the_command_without_a_database_says_how_it_is_used() -> None:
    code, said = await migrate_by_command("")

    assert code == 2
    assert "DATABASE_URL" in said
