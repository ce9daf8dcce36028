"""Verifies a whole log in Postgres: chain, order, log seals, signatures, and the seals kept outside.

Ranges are checked side by side, each in a process of its own; the log may be of any size.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

from eventstore.audit import log_extent
from eventstore.audit.chain import instant
from eventstore.audit.chunk import check_apart, check_chunk
from eventstore.audit.plan import LanePlan
from eventstore.audit.reading import reading
from eventstore.audit.verdict import Check, LogVerdict, in_order

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from psycopg import AsyncConnection

    from eventstore.audit.chunk import Chunk, ChunkVerdict
    from eventstore.audit.log_extent import Archived
    from eventstore.audit.seal_archive import SealArchive
    from eventstore.audit.verdict import Finding


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification is."""

    events_done: int
    events_total: int


@dataclass(slots=True)
class _Tally:
    """What the chunks add up to."""

    events_count: int = 0
    seals_count: int = 0
    archived_events_count: int = 0
    end_recorded_at: int | None = None
    keys: set[bytes] = field(default_factory=set[bytes])
    findings: list[Finding] = field(default_factory=list["Finding"])

    def add(self, chunk: Chunk, found: ChunkVerdict) -> None:
        self.events_count += found.events_count
        self.seals_count += found.seals_count
        self.findings += found.findings
        self.keys.update(seal.public_key for seal in chunk.seals)
        if not chunk.is_hot:
            self.archived_events_count += chunk.to_position - chunk.from_position + 1
        if found.end_recorded_at is not None:
            self.end_recorded_at = max(found.end_recorded_at, self.end_recorded_at or found.end_recorded_at)


async def verify_log(
    conninfo: str,
    *,
    seals: SealArchive | None = None,
    keys: frozenset[bytes] = frozenset(),
    from_position: int = 1,
    workers: int = 0,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> LogVerdict:
    """Verify every lane from a position, or from its first event, to its head now.

    Shape: with `seals`, what is kept outside counts, not what the database says; with `keys`, seals must be
    signed by one of them; `workers` 0 works in this process.
    Errors: SealConflict when the archive holds what is no seal; StoreUnavailable; OSError.
    """
    async with reading(conninfo, "verify") as connection:
        plans = await _plans(connection, seals, keys)
        tally = _Tally(findings=list(await log_extent.stray(connection)))
        total = sum(max(0, plan.head - from_position + 1) for plan in plans)
        done = 0
        async with aclosing(_checked(conninfo, plans, from_position, workers)) as verdicts:
            async for chunk, found in verdicts:
                tally.add(chunk, found)
                done += chunk.to_position - chunk.from_position + 1
                on_progress(Progress(done, max(total, done)))
        findings = [*tally.findings, *(each for plan in plans for each in plan.findings)]
        # A partition may have been archived meanwhile: its events are not missing.
        moved = await log_extent.archived(connection)
    return LogVerdict(
        events_count=tally.events_count,
        seals_count=tally.seals_count,
        archived_events_count=tally.archived_events_count,
        heads={plan.lane: plan.head for plan in plans},
        sealed={plan.lane: plan.sealed_to for plan in plans},
        keys=frozenset(tally.keys),
        end_recorded_at=None if tally.end_recorded_at is None else instant(tally.end_recorded_at),
        findings=in_order(each for each in findings if not _was_moved(each, moved)),
    )


def _was_moved(finding: Finding, moved: Sequence[Archived]) -> bool:
    return finding.check is Check.GAP and log_extent.is_archived(moved, finding.from_position)


async def _plans(
    connection: AsyncConnection, seals: SealArchive | None, keys: frozenset[bytes]
) -> list[LanePlan]:
    archived = await log_extent.archived(connection)
    return [
        LanePlan(connection, lane, await log_extent.head(connection, lane), archived, seals, keys)
        for lane in range(await log_extent.lanes_count(connection))
    ]


async def _checked(
    conninfo: str, plans: list[LanePlan], from_position: int, workers: int
) -> AsyncGenerator[tuple[Chunk, ChunkVerdict]]:
    """Yield every chunk with what was found, in any order."""
    if not workers:
        async for chunk in _chunks(plans, from_position):
            yield chunk, await check_chunk(conninfo, chunk)
        return
    loop = asyncio.get_running_loop()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent)
    under_way: dict[asyncio.Future[ChunkVerdict], Chunk] = {}
    try:
        async for chunk in _chunks(plans, from_position):
            under_way[loop.run_in_executor(pool, check_apart, conninfo, chunk)] = chunk
            if len(under_way) > 2 * workers:
                for each in await _next_done(under_way):
                    yield under_way.pop(each), each.result()
        while under_way:
            for each in await _next_done(under_way):
                yield under_way.pop(each), each.result()
    finally:
        # Whoever asked may have gone: what is under way ends by itself soon, the rest is not begun.
        await asyncio.to_thread(pool.shutdown, cancel_futures=True)


async def _chunks(plans: list[LanePlan], from_position: int) -> AsyncGenerator[Chunk]:
    for plan in plans:
        async with aclosing(plan.chunks(from_position)) as chunks:
            async for each in chunks:
                yield each


async def _next_done(
    under_way: dict[asyncio.Future[ChunkVerdict], Chunk],
) -> set[asyncio.Future[ChunkVerdict]]:
    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    return done


def _end_with_parent() -> None:
    """Let a worker process end when the one that started it was killed."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
