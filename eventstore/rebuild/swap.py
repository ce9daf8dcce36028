"""Puts the rebuilt tables in the place of the live ones, and back, in one transaction each.

The live tables are locked first and the live checkpoint after them, in the order in which a projector takes
them. What was recorded until then is written into the shadow within the same transaction, so readers never
see an older state than before; then the tables change their schemas. Locks are asked for in short tries:
behind a long reader nobody queues for more than a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from eventstore.rebuild import checkpoints
from eventstore.rebuild.checkpoints import REBUILT, RETIRED, Checkpoint
from eventstore.rebuild.errors import CannotRebuild, NothingRebuilt
from eventstore.rebuild.pages import pages_until
from eventstore.rebuild.patience import BRIEFLY, LOCK_MILLISECONDS_MAX, patiently
from eventstore.rebuild.read_model import OWNER_ROLE, acting_as, at_work
from eventstore.rebuild.rebuild import catch_up, drop_schema, standing
from eventstore.rebuild.rebuildable import Reshaping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection

    from eventstore.rebuild.read_model import ReadModel
    from eventstore.rebuild.shadow import Shadow

PATIENCE_SECONDS: Final = 60.0

_DRESS: Final[LiteralString] = "select es.dress_clone_v1(%s::regclass, %s::regclass)"
_RENAME_PARKED: Final[LiteralString] = "update es.parked set name = %s where name = %s and version = %s"
_COLUMNS: Final[LiteralString] = """
select array_agg((attname, format_type(atttypid, atttypmod), attnotnull)::text order by attname)
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""


async def swap(model: ReadModel, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Let the rebuilt tables be the live ones; the ones before wait in the retired schema.

    Errors: RebuildUnderWay, NothingRebuilt, CannotRebuild, SwapTimedOut, psycopg.Error.
    """

    async def _try() -> None:
        shadow = await standing(connection, model)
        await catch_up(shadow)
        async with connection.transaction():
            await _swap(shadow)

    async with at_work(model, "swap") as connection:
        if await checkpoints.beside(connection, model.name, RETIRED):
            raise CannotRebuild(
                f"the tables of {model.name} that the last swap retired are still there: drop them first"
            )
        await (await standing(connection, model)).index()
        await patiently(_try, patience_seconds)


async def swap_back(model: ReadModel, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Let the retired tables be the live ones again, at their own checkpoint; the live ones are retired.

    Their projector catches up at once. Twice is as good as never.
    Errors: RebuildUnderWay, NothingRebuilt, SwapTimedOut, psycopg.Error.
    """

    async def _try() -> None:
        async with connection.transaction():
            await _swap_back(connection, model)

    async with at_work(model, "swap") as connection:
        await patiently(_try, patience_seconds)


async def drop_retired(model: ReadModel) -> None:
    """Drop the tables that were live before the swap: there is no way back then.

    The projectors of an older version stay away for ever: the tables are not theirs any more.

    Errors: RebuildUnderWay, NothingRebuilt; psycopg.Error.
    """
    async with at_work(model) as connection, connection.transaction():
        await _retired(connection, model)
        await drop_schema(connection, model.retired_schema)
        async with acting_as(connection, OWNER_ROLE):
            await connection.execute("delete from es.parked where name = %s", [model.name + RETIRED])
            await checkpoints.remove(connection, model.name, RETIRED)


async def _swap(shadow: Shadow) -> None:
    model, connection = shadow.model, shadow.connection
    projection = model.projection
    await _lock(connection, _tables(projection.schema, model), _tables(model.shadow_schema, model))
    if not isinstance(projection, Reshaping):
        await _check_shape(connection, model)
    live = await checkpoints.live(connection, model.name) or Checkpoint(projection.version, {})
    async with acting_as(connection, OWNER_ROLE):
        held = await checkpoints.hold_live(connection, model.name, live.version)
    async for page in pages_until(model.store, projection, shadow.positions, held, shadow.page_max):
        await shadow.write(page)
    for table in projection.tables:
        names = [sql.Identifier(each, table).as_string() for each in (projection.schema, shadow.schema)]
        await connection.execute(_DRESS, names)
    await _create_schema(connection, model.retired_schema)
    await _move(connection, model, projection.schema, model.retired_schema)
    await _move(connection, model, shadow.schema, projection.schema)
    await drop_schema(connection, shadow.schema)
    now = Checkpoint(projection.version, shadow.positions)
    async with acting_as(connection, OWNER_ROLE):
        await checkpoints.remove(connection, model.name, REBUILT)
        await _exchange(connection, model, Checkpoint(live.version, held), now)


async def _swap_back(connection: AsyncConnection[Any], model: ReadModel) -> None:
    schema, retired_schema = model.projection.schema, model.retired_schema
    retired = await _retired(connection, model)
    await _lock(connection, _tables(schema, model), _tables(retired_schema, model))
    live = await checkpoints.live(connection, model.name) or Checkpoint(model.projection.version, {})
    between = f"{retired_schema}_between"
    await _create_schema(connection, between)
    await _move(connection, model, schema, between)
    await _move(connection, model, retired_schema, schema)
    await drop_schema(connection, retired_schema)
    await connection.execute(
        sql.SQL("alter schema {} rename to {}").format(
            sql.Identifier(between), sql.Identifier(retired_schema)
        )
    )
    async with acting_as(connection, OWNER_ROLE):
        held = await checkpoints.hold_live(connection, model.name, live.version)
        await checkpoints.remove(connection, model.name, RETIRED)
        await _exchange(connection, model, Checkpoint(live.version, held), retired)


async def _exchange(
    connection: AsyncConnection[Any], model: ReadModel, before: Checkpoint, after: Checkpoint
) -> None:
    """Give the live name to other tables: their checkpoint, and the events parked for them."""
    name, retired = model.name, model.name + RETIRED
    await connection.execute(_RENAME_PARKED, [f"{name}#between", retired, after.version])
    await connection.execute(_RENAME_PARKED, [retired, name, before.version])
    await connection.execute(_RENAME_PARKED, [name, f"{name}#between", after.version])
    await checkpoints.write(connection, retired, before)
    if before.version != after.version:
        await checkpoints.park(connection, name, before.version, RETIRED)
    await checkpoints.write(connection, name, after)


async def _retired(connection: AsyncConnection[Any], model: ReadModel) -> Checkpoint:
    found = await checkpoints.beside(connection, model.name, RETIRED)
    if found is None:
        raise NothingRebuilt(f"there are no retired tables of {model.name}")
    return found


def _tables(schema: str, model: ReadModel) -> Iterable[sql.Identifier]:
    return [sql.Identifier(schema, table) for table in model.projection.tables]


async def _lock(connection: AsyncConnection[Any], *tables: Iterable[sql.Identifier]) -> None:
    await connection.execute(BRIEFLY, [f"{LOCK_MILLISECONDS_MAX}ms"])
    names = sql.SQL(", ").join(each for group in tables for each in group)
    await connection.execute(sql.SQL("lock table {} in access exclusive mode").format(names))


async def _check_shape(connection: AsyncConnection[Any], model: ReadModel) -> None:
    for table in model.projection.tables:
        shapes: list[object] = []
        for schema in (model.projection.schema, model.shadow_schema):
            cursor = await connection.execute(_COLUMNS, [sql.Identifier(schema, table).as_string()])
            shapes.append(await cursor.fetchone())
        if shapes[0] != shapes[1]:
            raise CannotRebuild(
                f"{model.projection.schema}.{table} was altered since it was built anew:"
                f" abandon what was built, and rebuild {model.name}"
            )


async def _create_schema(connection: AsyncConnection[Any], schema: str) -> None:
    await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


async def _move(connection: AsyncConnection[Any], model: ReadModel, source: str, target: str) -> None:
    for table in model.projection.tables:
        await connection.execute(
            sql.SQL("alter table {} set schema {}").format(
                sql.Identifier(source, table), sql.Identifier(target)
            )
        )
