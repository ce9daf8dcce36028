"""The scheduler's tables: the same after a replay, and speaking of states as the domain does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

from directorybolt.event.v1 import submission_events_pb2 as facts
from directorybolt.job.v1 import job_pb2

from services.domain import attempts
from services.projections.work import WorkRow, save
from tests.fix_scheduler import postgres_cluster, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.domain.submission import Submission
    from tests.fix_scheduler import Stage

__all__ = ["postgres_cluster", "stage"]

TABLES: Sequence[LiteralString] = (
    "select * from scheduler.work order by submission_id",
    "select * from scheduler.lease order by submission_id",
    "select * from scheduler.job order by job_id",
    "select * from scheduler.job_submission order by job_id, submission_id",
    "select * from scheduler.worker order by worker_id",
    "select * from scheduler.lease_pulse order by submission_id",
    "select * from scheduler.worker_pulse order by worker_id",
    "select * from scheduler.directory order by directory_id",
    "select * from scheduler.directory_start order by directory_id",
)
FLAGS: LiteralString = """
select state, ready, dispatched, held, dead from scheduler.work where submission_id = any(%s) order by state
"""
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def contents(stage: Stage) -> list[list[object]]:
    """Return all rows of all tables."""
    async with stage.pool.connection() as connection:
        return [list(await (await connection.execute(each)).fetchall()) for each in TABLES]


async def test_a_replay_gives_the_same_rows(stage: Stage) -> None:
    """Throwing the read model away loses nothing."""
    await stage.worker.start(slots=4)
    await stage.catalogue("yellow", "green", "blue")
    first = await stage.order("yellow", "green", "blue")
    await stage.order("yellow")
    await stage.plan()
    await stage.dispatch()
    held, failed, listed = await stage.worker.claim_all()
    await stage.worker.pulse(held)
    await stage.worker.pulse_self(slots=3)
    await stage.worker.fail(failed, job_pb2.ERROR_CLASS_BUG)
    await stage.worker.list_it(listed)
    await stage.cancel(first)
    await stage.caught_up()
    before = await contents(stage)

    await stage.projector.replay()
    await stage.caught_up()

    assert all(before)
    assert await contents(stage) == before


async def test_the_tables_flags_say_what_the_domain_says(stage: Stage) -> None:
    """The indexes are made of state numbers: each of them must mean there what it means in the code."""
    await stage.order("yellow")
    await stage.plan()
    state = await stage.submission("yellow")
    states = [each for each in job_pb2.SubmissionState.values() if each]
    rows = {
        UUID(int=each): WorkRow(replace(state, submission_id=str(UUID(int=each)), state=each), "", None, None)
        for each in states
    }

    async with stage.pool.connection() as connection, connection.transaction():
        await connection.execute("set local search_path to scheduler")
        await save(connection, rows)
        cursor = await connection.execute(FLAGS, [list(rows)])
        found = await cursor.fetchall()

    assert found == [(each, *flags_of(replace(state, state=each))) for each in states]


def flags_of(state: Submission) -> tuple[bool, bool, bool, bool]:
    """Return ready, dispatched, held and dead as the domain decides."""
    return (
        attempts.dispatch(replace(state, due_at=NOW), "id", "p1", NOW) is not None,
        attempts.defer(state, state.dispatch_id, NOW, facts.DEFER_REASON_GAP) is not None,
        state.held_by(state.claim_version),
        attempts.redrive(state, "again") is not None,
    )
