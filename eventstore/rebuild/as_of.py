"""A read model as it was: built into a scratch schema up to some positions, asked, and dropped.

A scratch schema is locked by the session that builds it. What a crash leaves behind is nobody's, and the next
one who builds anything drops it.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg

from eventstore.connections import connect
from eventstore.rebuild.errors import PositionUnknown
from eventstore.rebuild.progress import tell_nobody
from eventstore.rebuild.read_model import REBUILD_ROLE, try_lock, unlock
from eventstore.rebuild.rebuild import drop_schema
from eventstore.rebuild.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import Any

    from psycopg import AsyncConnection

    from eventstore.rebuild.progress import Report
    from eventstore.rebuild.read_model import ReadModel
    from eventstore.types import Position

_PREFIX: Final = "scratch_"
_SCRATCHES: Final[LiteralString] = (
    "select nspname from pg_namespace where starts_with(nspname, %s) order by nspname"
)
_BUILDING: Final[LiteralString] = (
    "select set_config('statement_timeout', '0', false), set_config('synchronous_commit', 'off', false)"
)
_READING: Final[LiteralString] = (
    "select set_config('role', %s, false), set_config('search_path', quote_ident(%s) || ', pg_temp', false),"
    " set_config('default_transaction_read_only', 'on', false)"
)
_WRITING: Final[LiteralString] = (
    "select set_config('role', 'none', false), set_config('default_transaction_read_only', 'off', false)"
)


async def positions_at(model: ReadModel, moment: Position | datetime) -> Mapping[int, int]:
    """Return the position of each lane at an instant, or when a position of one lane was recorded.

    Errors: PositionUnknown, StoreUnavailable.
    """
    store, lanes = model.store, model.lanes
    if isinstance(moment, datetime):
        return {lane: (await store.position_at(moment, lane)).number for lane in lanes}
    page = await store.read_all(replace(moment, number=moment.number - 1), limit=1)
    if not page.events or page.events[0].position != moment:
        raise PositionUnknown(f"lane {moment.lane} has no position {moment.number}")
    recorded_at = page.events[0].recorded_at
    found = {lane: (await store.position_at(recorded_at, lane)).number for lane in lanes}
    return {**found, moment.lane: moment.number}


@asynccontextmanager
async def read_model_as_of(
    model: ReadModel,
    positions: Mapping[int, int],
    report: Report = tell_nobody,
) -> AsyncGenerator[AsyncConnection[Any]]:
    """Build a read model up to positions and lend a connection that reads it by the bare names of tables.

    Errors: HoleInLog, StoreUnavailable, psycopg.Error, and what the projection raises.
    """
    schema = f"{_PREFIX}{model.name}_{secrets.token_hex(4)}"
    async with await connect(model.conninfo, None, f"as-of {model.name}") as connection:
        await connection.execute(_BUILDING)
        await sweep(connection)
        await try_lock(connection, schema)
        shadow = Shadow(model, connection, schema)
        try:
            async with connection.transaction():
                await shadow.create(logged=False)
            await shadow.fold(positions, report)
            await shadow.index()
            await connection.execute(_READING, [REBUILD_ROLE, schema])
            yield connection
        finally:
            with suppress(psycopg.OperationalError):
                await connection.execute(_WRITING)
                await drop_schema(connection, schema)


async def sweep(connection: AsyncConnection[Any]) -> None:
    """Drop the scratch schemas that nobody builds or reads any more."""
    cursor = await connection.execute(_SCRATCHES, [_PREFIX])
    for (schema,) in await cursor.fetchall():
        if await try_lock(connection, schema):
            await drop_schema(connection, schema)
            await unlock(connection, schema)
