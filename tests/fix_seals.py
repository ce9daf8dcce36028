"""Log seals for tests: a signer, an archive in a folder, and logs that are sealed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio

from eventstore.audit.seal_archive import DirectorySealArchive
from eventstore.audit.seal_signer import LocalSealSigner
from eventstore.audit.sealer import LogSealer
from eventstore.audit.verify_log import verify_log
from eventstore.postgres import PostgresEventStore
from tests.fix_events import append_to

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from eventstore.audit.seal_archive import SealArchive
    from eventstore.audit.verdict import LogVerdict

SIGNER = LocalSealSigner(bytes(range(32)))
OTHER_SIGNER = LocalSealSigner(bytes(32))
#: So that a few events make several seals.
EVENTS_PER_SEAL = 10


@asynccontextmanager
async def sealer(
    url: str,
    archive: SealArchive | None = None,
    *,
    signer: LocalSealSigner = SIGNER,
    events_max: int = EVENTS_PER_SEAL,
    interval_seconds: float = 0.0,
) -> AsyncGenerator[LogSealer]:
    """Lend a sealer, by default one that seals whatever there is at once."""
    made = LogSealer(url, signer, archive, interval_seconds=interval_seconds, events_max=events_max)
    try:
        yield made
    finally:
        await made.close()


async def seal_everything(url: str, archive: SealArchive | None = None, **how: object) -> None:
    """Seal until nothing is left."""
    async with sealer(url, archive, **how) as made:  # pyright: ignore[reportArgumentType]
        while await made.run_once():
            pass


@dataclass(frozen=True, slots=True)
class SealedLog:
    """A log of 35 events: 30 under three seals, then five without one."""

    url: str
    store: PostgresEventStore
    archive: DirectorySealArchive
    folder: Path

    async def verify(self, *, outside: bool = True, pinned: bool = True) -> LogVerdict:
        """Verify it, by default against the archive and the key."""
        return await verify_log(
            self.url,
            seals=self.archive if outside else None,
            keys=frozenset([SIGNER.public_key]) if pinned else frozenset(),
        )

    async def force_any(self, *statements: str) -> None:
        """Do the same, with whatever partitions there are."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            cursor = await connection.execute(
                "select format('%s', inhrelid::regclass) from pg_inherits"
                " where inhparent = 'es.event'::regclass"
            )
            for (table,) in await cursor.fetchall():
                await connection.execute(f"alter table {table} disable trigger all".encode())
            await connection.execute("alter table es.event disable trigger all")
            for statement in statements:
                await connection.execute(statement.encode())

    async def force(self, *statements: str) -> None:
        """Do to the database what only somebody with every right can."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for table in ("event", "event_from_1", "log_seal", "log_identity", "category", "event_type"):
                await connection.execute(f"alter table es.{table} disable trigger all".encode())
            for statement in statements:
                await connection.execute(statement.encode())


@pytest_asyncio.fixture
async def sealed_log(database_url: str, tmp_path: Path) -> AsyncIterator[SealedLog]:
    """Give a sealed log."""
    archive = DirectorySealArchive(tmp_path / "seals")
    async with PostgresEventStore.open(database_url) as store:
        for count in (3, 17, 10):
            await store.append(append_to(count=count))
        await seal_everything(database_url, archive)
        await store.append(append_to(count=5))
        yield SealedLog(database_url, store, archive, tmp_path / "seals")


def found(verdict: LogVerdict) -> Sequence[tuple[str, int, int, int | None]]:
    """Return the findings, each as check, first and last position, and number of the seal."""
    return [
        (each.check.value, each.from_position, each.to_position, each.seal_number)
        for each in verdict.findings
    ]


@pytest.fixture
def signer() -> LocalSealSigner:
    """Give the key that the tests' seals are signed with."""
    return SIGNER
