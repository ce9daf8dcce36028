"""The doctor as a command, on a server of its own: settings, roles, databases that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from stack.postgres import EmbeddedPostgres
from tests.fix_events import append_to
from tests.fix_postgres import postgres_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).resolve().parents[2]


async def run(url: str, *statements: str) -> None:
    """Run statements."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


async def doctor(url: str, *flags: str) -> tuple[int | None, str]:
    """Run the command; gives the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventstore", "doctor", *flags),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await process.communicate()
    return process.returncode, said.decode() or complaint.decode()


async def checks_found(url: str) -> set[str]:
    """Return the names of the checks that found something, and insist that each says what to do."""
    _, said = await doctor(url, "--json")
    rows = json.loads(said)
    assert all(row["what"] and row["where"] and row["what_to_do"] for row in rows)
    return {row["check"] for row in rows}


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[EmbeddedPostgres]:
    """Run a cluster with the settings of every day, and a database whose owner is no superuser."""
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries()) as postgres:
        await run(
            postgres.conninfo(),
            "create role owner login createrole",
            "create role intruder login",
            "create database ledger owner owner",
        )
        yield postgres


async def test_the_command_finds_nothing_and_then_what_is_wrong(cluster: EmbeddedPostgres) -> None:
    url, superuser = make_conninfo(cluster.conninfo("ledger"), user="owner"), cluster.conninfo("ledger")
    code, said = await doctor(url, "--json")
    assert (code, json.loads(said)[0]["what_to_do"]) == (1, "run `python -m eventstore migrate`")

    await migrate(url)
    async with PostgresEventStore.open(url) as store:
        await store.append(append_to(count=20))
    code, said = await doctor(url, "--deep")
    assert code == 0
    assert "checks, nothing found" in said
    assert await doctor(url, "--json") == (0, "[]\n")

    await run(superuser, "alter role es_append in database ledger set synchronous_commit = off")
    assert await checks_found(url) == {"settings"}
    assert (await doctor(url))[0] == 0  # advice is no fault
    await run(superuser, "alter role es_append in database ledger reset synchronous_commit")

    await run(superuser, "grant es_owner to intruder")
    assert await checks_found(url) == {"memberships"}
    assert (await doctor(url))[0] == 1
    await run(superuser, "revoke es_owner from intruder", "grant pg_write_all_data to intruder")
    assert await checks_found(url) == {"memberships"}
    await run(superuser, "revoke pg_write_all_data from intruder", "alter role es_owner login")
    assert await checks_found(url) == {"memberships"}
    await run(superuser, "alter role es_owner nologin")

    await run(superuser, "alter database ledger set zero_damaged_pages = on")
    assert await checks_found(superuser) == {"settings"}


async def test_a_login_that_may_not_look_is_told_so(cluster: EmbeddedPostgres) -> None:
    await migrate(make_conninfo(cluster.conninfo("ledger"), user="owner"))

    code, said = await doctor(make_conninfo(cluster.conninfo("ledger"), user="intruder"))

    assert code == 3
    assert "es_care" in said
