"""Builds a read model from the beginning of the log beside the live one, which goes on meanwhile.

Every page is a transaction with its checkpoint, so that a rebuild that was killed goes on where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.errors import FeatureNotSupported

from eventstore.rebuild import checkpoints
from eventstore.rebuild.checkpoints import REBUILT, Checkpoint
from eventstore.rebuild.errors import CannotRebuild, NothingRebuilt
from eventstore.rebuild.progress import tell_nobody
from eventstore.rebuild.read_model import OWNER_ROLE, acting_as, at_work
from eventstore.rebuild.shadow import PAGE_EVENTS_MAX, Shadow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import AsyncConnection

    from eventstore.rebuild.progress import Report
    from eventstore.rebuild.read_model import ReadModel


async def rebuild(
    model: ReadModel,
    report: Report = tell_nobody,
    *,
    page_max: int = PAGE_EVENTS_MAX,
) -> Mapping[int, int]:
    """Build the read model beside the live one up to the head of the log, and return how far it is.

    One that was broken off goes on; one that is there catches up.
    Errors: RebuildUnderWay, CannotRebuild, HoleInLog, StoreUnavailable, psycopg.Error, and what the
    projection raises.
    """
    async with at_work(model) as connection:
        shadow = await _begun(connection, model, page_max)
        await shadow.load(await model.heads(), report)
        await catch_up(shadow, report)
        await shadow.index()
        await catch_up(shadow, report)
        return shadow.positions


async def abandon(model: ReadModel) -> None:
    """Drop what was built beside the live read model, or as much as there is.

    Errors: RebuildUnderWay; psycopg.Error.
    """
    async with at_work(model) as connection, connection.transaction():
        await drop_schema(connection, model.shadow_schema)
        async with acting_as(connection, OWNER_ROLE):
            await checkpoints.remove(connection, model.name, REBUILT)
            await checkpoints.unpark(connection, model.name)


async def catch_up(shadow: Shadow, report: Report = tell_nobody) -> None:
    """Follow the log until less than a page came while the last page was written."""
    while await shadow.fold(await shadow.model.heads(), report) > shadow.page_max:
        pass


async def standing(connection: AsyncConnection[Any], model: ReadModel) -> Shadow:
    """Return what was built of this version beside the live one.

    Errors: NothingRebuilt, CannotRebuild.
    """
    found = await checkpoints.beside(connection, model.name, REBUILT)
    if found is None:
        raise NothingRebuilt(f"nothing is built beside {model.name}: rebuild it first")
    if found.version != model.projection.version:
        raise CannotRebuild(
            f"version {found.version} of {model.name} is built, this is the code of version"
            f" {model.projection.version}: go on with that release, or abandon what it built"
        )
    return _shadow(connection, model, found)


async def drop_schema(connection: AsyncConnection[Any], schema: str) -> None:
    """Drop a schema of this room with all that is in it."""
    await connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


async def _begun(connection: AsyncConnection[Any], model: ReadModel, page_max: int) -> Shadow:
    live = await checkpoints.live(connection, model.name)
    version = model.projection.version
    if live and live.version > version:
        raise CannotRebuild(f"version {live.version} of {model.name} is live, this is the code of {version}")
    if await checkpoints.beside(connection, model.name, REBUILT):
        shadow = await standing(connection, model)
    else:
        shadow = _shadow(connection, model, Checkpoint(version, {}))
        await _begin(shadow, live)
    shadow.page_max = page_max
    return shadow


async def _begin(shadow: Shadow, live: Checkpoint | None) -> None:
    model, connection = shadow.model, shadow.connection
    version = model.projection.version
    try:
        async with connection.transaction():
            await shadow.create(logged=True)
            async with acting_as(connection, OWNER_ROLE):
                await checkpoints.write(connection, shadow.name, Checkpoint(version, {}))
                if live and live.version != version:
                    await checkpoints.park(connection, model.name, version, REBUILT)
    except FeatureNotSupported as error:
        raise CannotRebuild(error.diag.message_primary) from error


def _shadow(connection: AsyncConnection[Any], model: ReadModel, checkpoint: Checkpoint) -> Shadow:
    return Shadow(model, connection, model.shadow_schema, model.name + REBUILT, dict(checkpoint.positions))
