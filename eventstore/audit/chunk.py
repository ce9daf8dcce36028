"""A piece of work for one process: log seals and the events under them, or events without a seal yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg.rows import tuple_row

from eventstore.audit.chain import GENESIS, microseconds
from eventstore.audit.chain_walk import Range, walk
from eventstore.audit.raw_events import load_names, prefer_order
from eventstore.audit.verdict import Check, Finding
from eventstore.connections import READ_ROLE, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import LiteralString

    from psycopg import AsyncConnection

    from eventstore.audit.chain_walk import Walked
    from eventstore.audit.log_seal import LogSeal

_BEFORE: Final[LiteralString] = (
    "select hash, recorded_at from es.event where lane = %s and position = %s and position >= 1"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is to be looked at.

    Shape: `seals` lie without gaps from `from_position` on; `end_hash_before` is what a seal says of the
    event before, None when there is none; `is_hot` False when the events are in the archive; `keys` empty
    when any key will do.
    """

    lane: int
    from_position: int
    to_position: int
    end_hash_before: bytes | None
    seals: Sequence[LogSeal] = ()
    keys: frozenset[bytes] = frozenset()
    is_hot: bool = True


@dataclass(frozen=True, slots=True)
class ChunkVerdict:
    """What was found in it; times in microseconds since the beginning of 2000."""

    events_count: int
    seals_count: int
    end_position: int
    end_recorded_at: int | None
    findings: Sequence[Finding]


def check_apart(conninfo: str, chunk: Chunk) -> ChunkVerdict:
    """Check a chunk in a process of its own."""
    return asyncio.run(check_chunk(conninfo, chunk))


async def check_chunk(conninfo: str, chunk: Chunk) -> ChunkVerdict:
    """Check a chunk: signatures, chain, times, and whether the events are the sealed ones.

    Errors: psycopg.Error.
    """
    findings = list(_check_signatures(chunk))
    if not chunk.is_hot:
        return ChunkVerdict(0, len(chunk.seals), chunk.to_position, None, findings)
    async with await connect(conninfo, READ_ROLE, "verify") as connection:
        wanted = await _range(connection, chunk)
        cuts = [seal.to_position for seal in chunk.seals]
        await prefer_order(connection)
        walked = await walk(connection, await load_names(connection), wanted, cuts)
    findings += _check_walk(chunk, walked)
    count = walked.end_position - chunk.from_position + 1
    return ChunkVerdict(count, len(chunk.seals), walked.end_position, walked.end_recorded_at, findings)


async def _range(connection: AsyncConnection, chunk: Chunk) -> Range:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(_BEFORE, [chunk.lane, chunk.from_position - 1])
    row: tuple[bytes, datetime] | None = await cursor.fetchone()
    if row is None:
        first = GENESIS if chunk.from_position == 1 else None
        return Range(chunk.lane, chunk.from_position, chunk.to_position, chunk.end_hash_before or first)
    return Range(
        chunk.lane,
        chunk.from_position,
        chunk.to_position,
        chunk.end_hash_before or row[0],
        microseconds(row[1]),
    )


def _check_signatures(chunk: Chunk) -> Iterator[Finding]:
    for seal in chunk.seals:
        if not seal.is_signed():
            yield _about(seal, Check.SEAL_SIGNATURE)
        elif chunk.keys and seal.public_key not in chunk.keys:
            yield _about(seal, Check.SEAL_KEY)


def _check_walk(chunk: Chunk, walked: Walked) -> Iterator[Finding]:
    found = {piece.to_position: piece for piece in walked.pieces}
    for seal in chunk.seals:
        piece = found.get(seal.to_position)
        if piece and (piece.root, piece.end_hash) != (seal.root, seal.end_hash):
            yield _about(seal, Check.SEAL_ROOT)
    if walked.defect is not None:
        position = walked.end_position + 1
        yield Finding(Check(walked.defect.value), chunk.lane, position, position)


def _about(seal: LogSeal, check: Check) -> Finding:
    return Finding(check, seal.lane, seal.from_position, seal.to_position, seal.number)
