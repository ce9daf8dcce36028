"""Compares the live tables with the rebuilt ones at one and the same position.

The live checkpoint is held for the moment in which the shadow comes up to it and a snapshot of both is taken;
the comparing itself holds nobody.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from eventstore.connections import backoff, connect
from eventstore.rebuild import checkpoints
from eventstore.rebuild.checkpoints import Checkpoint
from eventstore.rebuild.errors import NotComparable
from eventstore.rebuild.patience import BRIEFLY, LOCK_MILLISECONDS_MAX, patiently
from eventstore.rebuild.read_model import OWNER_ROLE, REBUILD_ROLE, acting_as, at_work
from eventstore.rebuild.rebuild import catch_up, standing
from eventstore.rebuild.table_difference import Side, table_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

    from eventstore.rebuild.read_model import ReadModel
    from eventstore.rebuild.shadow import Shadow
    from eventstore.rebuild.table_difference import TableDifference

ROWS_MAX: Final = 20
PATIENCE_SECONDS: Final = 30.0

_SNAPSHOT: Final[LiteralString] = "set transaction isolation level repeatable read, read only"


@dataclass(frozen=True, slots=True)
class Difference:
    """Live against rebuilt, both at `positions`."""

    positions: Mapping[int, int]
    tables: Sequence[TableDifference]

    @property
    def same(self) -> bool:
        """True when every table is the same."""
        return all(each.same for each in self.tables)


async def compare(
    model: ReadModel, *, rows_max: int = ROWS_MAX, patience_seconds: float = PATIENCE_SECONDS
) -> Difference:
    """Compare the live tables with what was built beside them.

    Errors: RebuildUnderWay, NothingRebuilt, CannotRebuild, NotComparable, SwapTimedOut, psycopg.Error.
    """
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(at_work(model, "diff"))
        shadow = await standing(connection, model)
        await catch_up(shadow)
        await _meet(shadow, stack, patience_seconds)
        live, rebuilt = Side(model.projection.schema, model.role), Side(shadow.schema, REBUILD_ROLE)
        tables = [
            await table_difference(connection, live, rebuilt, each, rows_max)
            for each in model.projection.tables
        ]
        return Difference(dict(shadow.positions), tables)


async def _meet(shadow: Shadow, stack: AsyncExitStack, patience_seconds: float) -> None:
    """Bring the shadow to the live checkpoint and take a snapshot there, held by the stack."""
    model = shadow.model
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + patience_seconds

    async def _try() -> Mapping[int, int] | None:
        async with holder.transaction():
            await holder.execute(BRIEFLY, [f"{LOCK_MILLISECONDS_MAX}ms"])
            return await _snapshot_at_live(holder, shadow, stack)

    async with await connect(model.conninfo, None, f"hold {model.name}") as holder:
        async for pause_seconds in backoff():
            behind = await patiently(_try, patience_seconds)
            if behind is None:
                return
            if clock() + pause_seconds > give_up_at:
                raise NotComparable(
                    f"live {model.name} stands at {dict(behind)} and does not come up to what was built, at"
                    f" {shadow.positions}: is its projector running?"
                )
            await asyncio.sleep(pause_seconds)


async def _snapshot_at_live(
    holder: AsyncConnection[Any], shadow: Shadow, stack: AsyncExitStack
) -> Mapping[int, int] | None:
    """Take the snapshot; or return where the live one is, when that is not as far as the shadow."""
    connection, name = shadow.connection, shadow.model.name
    live = await checkpoints.live(connection, name)
    if live is None:
        return {}
    async with acting_as(holder, OWNER_ROLE):
        held = await checkpoints.hold_live(holder, name, live.version)
    if not Checkpoint(live.version, held).reaches(shadow.positions):
        return held
    await shadow.fold(held)
    await stack.enter_async_context(connection.transaction())
    await connection.execute(_SNAPSHOT)
    await checkpoints.live(connection, name)
    return None
