"""What a load costs beside time: CPU of clients and database, bytes of WAL, waits for the disk."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from stack.postgres import EmbeddedPostgres

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WAL_IN_IO_STATISTICS: Final = 180_000
#: Since 18 the syncs of the WAL are counted with all other I/O.
_SYNCS_15: Final = "select wal_sync from pg_stat_wal"
_SYNCS_18: Final = "select coalesce(sum(fsyncs), 0)::bigint from pg_stat_io where object = 'wal'"
_OTHERS: Final = """
select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_BYTES: Final = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


@dataclass(frozen=True, slots=True)
class Costs:
    """What the whole cluster has used so far, or within a time."""

    cpu_seconds: float
    wal_bytes: int
    wal_syncs: int

    def since(self, before: Costs) -> Costs:
        """Return what came on top."""
        return Costs(
            self.cpu_seconds - before.cpu_seconds,
            self.wal_bytes - before.wal_bytes,
            self.wal_syncs - before.wal_syncs,
        )


async def costs(postgres: EmbeddedPostgres) -> Costs:
    """Read the meters, once those who caused the costs are gone and on the postmaster's account."""
    async with await psycopg.AsyncConnection.connect(postgres.conninfo(), autocommit=True) as connection:
        await _alone(connection)
        version = connection.info.server_version
        syncs = await _number(connection, _SYNCS_18 if version >= _WAL_IN_IO_STATISTICS else _SYNCS_15)
        written = await _number(connection, _BYTES)
    return Costs(_cpu_seconds(postgres.pid), written, syncs)


async def _alone(connection: psycopg.AsyncConnection) -> None:
    while True:
        if await _number(connection, _OTHERS) == 0:
            return
        await asyncio.sleep(0.02)


async def _number(connection: psycopg.AsyncConnection, query: str) -> int:
    row = await (await connection.execute(query.encode())).fetchone()
    return int(row[0]) if row else 0


def _cpu_seconds(postmaster: int) -> float:
    """Return what the postmaster's children used, those that ended included; 0 without /proc."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
        if int(path.parent.name) == postmaster:
            ticks += own + ended
        elif int(fields[1]) == postmaster:
            ticks += own
    return ticks / _TICKS
