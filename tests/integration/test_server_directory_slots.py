"""A directory's slots hold across all workers, on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from services.runtime.tables.directory_slots import Busy, DirectorySlots, Taken
from tests.fix_runtime_tables import bare_url, pool, postgres_cluster, tables_url

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    Pool = AsyncConnectionPool[AsyncConnection[Any]]

__all__ = ["bare_url", "pool", "postgres_cluster", "tables_url"]


async def _take(
    slots: DirectorySlots,
    submission: str | None = None,
    *,
    directory: str = "d",
    most: int = 1,
    gap: float = 0,
    expires: float = 60,
) -> Taken | Busy:
    return await slots.take(
        directory,
        submission or str(uuid4()),
        attempts_at_once_max=most,
        gap_seconds=gap,
        expires_in_seconds=expires,
    )


async def test_no_more_attempts_at_once_than_the_directory_bears(pool: Pool) -> None:
    workers = [DirectorySlots(pool, f"w{number}") for number in range(20)]
    answers = await asyncio.gather(*(_take(each, most=3) for each in workers))
    assert sum(isinstance(each, Taken) for each in answers) == 3
    assert {each.reason for each in answers if isinstance(each, Busy)} == {"slots"}


async def test_no_two_attempts_start_within_the_gap(pool: Pool) -> None:
    workers = [DirectorySlots(pool, f"w{number}") for number in range(10)]
    answers = await asyncio.gather(*(_take(each, most=100, gap=30) for each in workers))
    assert sum(isinstance(each, Taken) for each in answers) == 1
    busy = [each for each in answers if isinstance(each, Busy)]
    assert {each.reason for each in busy} == {"gap"}
    assert all(25 < each.retry_after_seconds <= 30 for each in busy)


async def test_directories_do_not_wait_for_each_other(pool: Pool) -> None:
    slots = DirectorySlots(pool, "w")
    answers = [await _take(slots, directory=name, gap=30) for name in ("a", "b", "c")]
    assert answers == [Taken(), Taken(), Taken()]


async def test_a_released_slot_is_free_again(pool: Pool) -> None:
    slots = DirectorySlots(pool, "w")
    submission = str(uuid4())
    assert await _take(slots, submission) == Taken()
    await slots.release("d", submission)
    assert await _take(slots) == Taken()


async def test_a_slot_of_a_silent_worker_expires(pool: Pool) -> None:
    assert await _take(DirectorySlots(pool, "dead"), expires=30) == Taken()
    assert isinstance(await _take(DirectorySlots(pool, "w")), Busy)
    async with pool.connection() as connection:
        await connection.execute("update runtime.directory_slot set expires_at = clock_timestamp()")
    assert await _take(DirectorySlots(pool, "w")) == Taken()


async def test_a_renewed_slot_lasts_from_the_renewal_on(pool: Pool) -> None:
    slots = DirectorySlots(pool, "w")
    submission = str(uuid4())
    await _take(slots, submission, expires=1)
    await slots.renew("d", submission, 600)
    async with pool.connection() as connection:
        rows = await connection.execute(
            "select expires_at > clock_timestamp() + interval '9 minutes' from runtime.directory_slot"
        )
        assert await rows.fetchall() == [(True,)]


async def test_a_message_delivered_twice_takes_one_slot(pool: Pool) -> None:
    submission = str(uuid4())
    first, second = DirectorySlots(pool, "w1"), DirectorySlots(pool, "w2")
    assert await _take(first, submission, most=2, gap=30) == Taken()
    assert await _take(second, submission, most=2, gap=30) == Taken()
    await second.release("d", submission)
    assert isinstance(await _take(second, most=1), Busy)


async def test_whoever_runs_the_attempt_holds_the_slot_from_its_first_pulse(pool: Pool) -> None:
    submission = str(uuid4())
    first, second = DirectorySlots(pool, "w1"), DirectorySlots(pool, "w2")
    await _take(first, submission)
    await second.renew("d", submission, 60)
    await first.release("d", submission)
    assert isinstance(await _take(first), Busy)
    await second.release("d", submission)
    assert await _take(first) == Taken()
