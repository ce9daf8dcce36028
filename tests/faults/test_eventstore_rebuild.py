"""Rebuilds that are killed at any moment go on where they were, and leave nothing behind that is nobody's."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from eventstore.rebuild.as_of import read_model_as_of
from eventstore.rebuild.difference import compare
from eventstore.rebuild.errors import RebuildUnderWay
from eventstore.rebuild.rebuild import rebuild
from eventstore.rebuild.swap import swap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.rebuild.progress import RebuildProgress
    from tests.doubles.visits import Shop

pytest_plugins = ["tests.fix_postgres", "tests.fix_read_models"]

PROGRAM: Final = Path(__file__).with_name("eventstore_rebuilding.py")
ROOT: Final = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def building(shop: Shop, work: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Build in a process of its own, which is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), shop.url, work),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def in_page(process: asyncio.subprocess.Process, pages: int) -> None:
    """Return when the process is in the middle of a page, for the n-th time."""
    assert process.stdout is not None
    for _ in range(pages):
        assert await process.stdout.readline()


async def unlocked(shop: Shop) -> None:
    """Return when the database has noticed that the process is gone."""
    await shop.execute("select pg_advisory_lock(25970, hashtext('visits'))")
    while await shop.select(
        "select from pg_stat_activity where application_name ~ '^eventstore (as-of|rebuild)'"
    ):
        await shop.select("select pg_stat_clear_snapshot()")


async def test_a_rebuild_killed_in_the_middle_of_pages_goes_on_and_writes_each_event_once(shop: Shop) -> None:
    async with asyncio.timeout(60):
        await shop.append(150)
        await shop.caught_up()
        reached: list[int] = []
        for pages in (3, 5, 1, 4):
            async with building(shop, "rebuild") as process:
                await in_page(process, pages)
                if pages == 4:
                    with pytest.raises(RebuildUnderWay):
                        await rebuild(shop.model())
            await unlocked(shop)
            [(positions,)] = await shop.select(
                "select positions from es.projection where name = 'visits#rebuild'"
            )
            reached.append(sum(positions.values()))
        seen: list[RebuildProgress] = []
        await rebuild(shop.model(), seen.append, page_max=5)

        assert reached == sorted(reached)
        assert reached[-1] > 0
        assert sum(seen[0].begun_at.values()) == reached[-1]
        assert (await compare(shop.model())).same
        await swap(shop.model())
    assert sum(row["number"] for row in await shop.rows()) == 150


async def test_a_scratch_that_a_killed_process_left_is_swept_by_the_next(shop: Shop) -> None:
    async with asyncio.timeout(60):
        await shop.append(30)
        async with building(shop, "as_of") as process:
            await in_page(process, 2)
        await unlocked(shop)
        [left] = await shop.schemas()
        async with building(shop, "as_of") as living:
            await in_page(living, 1)
            [other] = await shop.schemas()
            assert other != left

            async with read_model_as_of(shop.model(), {0: 5}) as connection:
                cursor = await connection.execute("select sum(number) from visit")
                assert await cursor.fetchone() == (5,)
            # Somebody still works on the other one.
            assert await shop.schemas() == [other]
