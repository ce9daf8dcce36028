"""The partitions of a projection that this process holds: its fair share, saved under epochs, given back.

A partition is a row in `es.projection`. All that one process does, it does on one connection; whatever was
saved under an epoch that is no longer the row's is refused, whoever slept and for how long.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eventstore.errors import LeaseLost
from eventstore.types import Partitions, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import LiteralString
    from uuid import UUID

    from psycopg import AsyncConnection

    from eventstore.types import Position, StoredEvent

PARTITIONS_MAX: Final = 1_024

_HOLD: Final[LiteralString] = (
    "select * from es.hold_partitions_v1("
    "%(name)s, %(version)s, %(count)s, %(holder)s, %(lease_seconds)s, %(release)s)"
)
_LEAVE: Final[LiteralString] = "select es.leave_projection_v1(%(name)s, %(version)s, %(holder)s)"
_RELEASE: Final[LiteralString] = """
update es.projection p set holder = null, expires_at = null
from unnest(%(partitions)s::smallint[], %(epochs)s::bigint[]) as mine (partition, epoch)
where p.name = %(name)s and p.version = %(version)s and p.partition = mine.partition and p.epoch = mine.epoch
"""
# Now and then it also leaves a sample of where it was, so that anybody can tell the rate later.
_SAVE: Final[LiteralString] = """
update es.projection p
set positions = p.positions || mine.positions::jsonb, moved_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
    sampled_before = case when p.sampled_at < mine.due_before then p.sampled else p.sampled_before end,
    sampled_before_at =
      case when p.sampled_at < mine.due_before then p.sampled_at else p.sampled_before_at end,
    sampled = case when p.sampled_at < mine.due_before then p.positions else p.sampled end,
    sampled_at = case when p.sampled_at < mine.due_before then clock_timestamp() else p.sampled_at end
from (select *, clock_timestamp() - interval '10 seconds' as due_before
      from unnest(%(partitions)s::smallint[], %(epochs)s::bigint[], %(positions)s::text[])
             as listed (partition, epoch, positions)) as mine
where p.name = %(name)s and p.version = %(version)s and p.partition = mine.partition and p.epoch = mine.epoch
"""
_COUNT_UNREAD: Final[LiteralString] = """
update es.projection set passed_over = passed_over + %(count)s
where name = %(name)s and version = %(version)s and partition = %(partition)s
"""
_PAUSE: Final[LiteralString] = """
update es.projection
set positions = positions || %(positions)s::jsonb,
    paused_at = clock_timestamp(), paused_release = %(release)s,
    failed_lane = %(lane)s, failed_position = %(position)s, attempts = %(attempts)s, error = %(error)s,
    holder = null, expires_at = null
where name = %(name)s and version = %(version)s and partition = %(partition)s and epoch = %(epoch)s
"""


@dataclass(slots=True)
class Held:
    """A partition that is ours: the epoch to save under, how far it was read, and how far it was saved."""

    epoch: int
    positions: dict[int, int]
    saved: dict[int, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What to read next: which partitions, from where in each lane, and up to where (None: no end)."""

    partitions: Partitions | None
    positions: Mapping[int, int]
    until: Mapping[int, int] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that cannot be got over, and why; without attempts, a place in the log that cannot be read."""

    position: Position
    error: str
    attempts: int


class Holding:
    """What one process holds of one projection."""

    def __init__(
        self, name: str, version: int, count: int, *, holder: str, lease_seconds: float, release: str = ""
    ) -> None:
        """Take the projection, its number of partitions, and the name to hold them under.

        `release` names the program: what another release paused can be taken.
        """
        self.name = name
        self.version = version
        self.count = count
        self.held: dict[int, Held] = {}
        self.surplus: frozenset[int] = frozenset()
        #: Rises when a partition has to be read again from an earlier position.
        self.rewound_count = 0
        self._wanted = {
            "name": name,
            "version": version,
            "count": count,
            "holder": holder,
            "lease_seconds": lease_seconds,
            "release": release,
        }

    async def share(self, connection: AsyncConnection, *, busy: frozenset[int] = frozenset()) -> bool:
        """Renew what is held, take what is due, give back what is too much; return whether anything changed.

        Those that are `busy` stay, and are `surplus` if they should go.
        Errors: psycopg.errors.ObjectInUse while others run it with another number of partitions.
        """
        before = {number: each.epoch for number, each in self.held.items()}
        cursor = await connection.execute(_HOLD, self._wanted)
        rows = await cursor.fetchall()
        share = rows[0][3]
        ours = {number: (epoch, positions) for number, epoch, positions, _ in rows if number is not None}
        too_many = sorted(ours, key=lambda number: (number not in busy, number))[share:]
        self.surplus = busy.intersection(too_many)
        await self._release(connection, {each: ours.pop(each)[0] for each in too_many if each not in busy})
        self.held = {
            number: self.held[number]
            if before.get(number) == epoch
            else Held(epoch, by_lane(positions), by_lane(positions))
            for number, (epoch, positions) in ours.items()
        }
        return before != {number: each.epoch for number, each in self.held.items()}

    async def save(
        self,
        connection: AsyncConnection,
        moved: Mapping[int, Mapping[int, int]],
        *,
        fenced: Iterable[int] = (),
    ) -> None:
        """Save how far some partitions are, within the caller's transaction; `fenced` ones are only checked.

        Errors: LeaseLost, and the transaction must not be committed.
        """
        numbers = sorted({*moved, *fenced})
        if not numbers:
            return
        if not set(numbers) <= self.held.keys():
            raise LeaseLost
        wanted = {
            **self._wanted,
            "partitions": numbers,
            "epochs": [self.held[number].epoch for number in numbers],
            "positions": [json.dumps(moved.get(number, {})) for number in numbers],
        }
        cursor = await connection.execute(_SAVE, wanted)
        if cursor.rowcount != len(numbers):
            raise LeaseLost

    async def pass_over(self, connection: AsyncConnection, events: Sequence[StoredEvent]) -> None:
        """Count events that were passed over unread, within the caller's transaction."""
        for number, count in Counter(self.partition_of(each.stream_id) for each in events).items():
            await connection.execute(_COUNT_UNREAD, {**self._wanted, "partition": number, "count": count})

    def note(self, moved: Mapping[int, Mapping[int, int]]) -> None:
        """Remember what was saved, after its transaction was committed."""
        for number, positions in moved.items():
            self.held[number].positions.update(positions)

    def rewind(self, number: int, positions: Mapping[int, int]) -> None:
        """Read a partition again from where it was."""
        self.held[number].positions.update(positions)
        self.rewound_count += 1

    async def renew(self, connection: AsyncConnection) -> None:
        """Hold for another lease what is held.

        Errors: LeaseLost.
        """
        await self.save(connection, {}, fenced=self.held)

    async def pause(self, connection: AsyncConnection, number: int, failure: Failure) -> None:
        """Stop a partition before an event; it is nobody's until it is resumed.

        Errors: LeaseLost.
        """
        if number not in self.held:
            raise LeaseLost
        lane, last = failure.position.lane, failure.position.number - 1
        before = {lane: last} if failure.attempts else {}
        wanted = {
            **self._wanted,
            "partition": number,
            "epoch": self.held[number].epoch,
            "positions": json.dumps(before),
            "lane": lane,
            "position": failure.position.number,
            "attempts": failure.attempts,
            "error": failure.error,
        }
        cursor = await connection.execute(_PAUSE, wanted)
        if cursor.rowcount != 1:
            raise LeaseLost
        del self.held[number]

    @property
    def active(self) -> Mapping[int, Held]:
        """What is held to be kept."""
        return {number: each for number, each in self.held.items() if number not in self.surplus}

    def wanted(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Return the events of one lane that are for us: of a partition to be kept, and new to it."""
        if not events:
            return events
        lane, count = events[0].position.lane, self.count
        after = {number: each.positions.get(lane, 0) for number, each in self.active.items()}
        if len(after) == count and max(after.values()) < events[0].position.number:
            return events
        return [
            each
            for each in events
            if after.get(partition_of(each.stream_id, count), each.position.number) < each.position.number
        ]

    async def leave(self, connection: AsyncConnection) -> None:
        """Let the others take everything at once."""
        self.held.clear()
        await connection.execute(_LEAVE, self._wanted)

    def partition_of(self, stream_id: UUID) -> int:
        """Return the partition that a stream falls to."""
        return partition_of(stream_id, self.count)

    def moved_to(self, position: Position) -> Mapping[int, Mapping[int, int]]:
        """Return the partitions that a position is news to, each with it."""
        there = {position.lane: position.number}
        return {
            number: there
            for number, each in self.active.items()
            if each.positions.get(position.lane, 0) < position.number
        }

    def stretch(self, lanes: Sequence[int]) -> Stretch:
        """Return what to read next: everything, or first what some are behind the others.

        So the log is read once for all partitions, but for what a newly taken one has to catch up with.
        """
        active = self.active
        places = {lane: [each.positions.get(lane, 0) for each in active.values()] for lane in lanes}
        heads = {lane: max(numbers) for lane, numbers in places.items()}
        behind = {
            number
            for number, each in active.items()
            if any(each.positions.get(lane, 0) < heads[lane] for lane in lanes)
        }
        chosen = behind or active.keys()
        only = Partitions(self.count, frozenset(chosen)) if len(chosen) < self.count else None
        lowest = {lane: min(active[each].positions.get(lane, 0) for each in chosen) for lane in lanes}
        return Stretch(only, lowest, heads if behind else None)

    async def _release(self, connection: AsyncConnection, epochs: Mapping[int, int]) -> None:
        if epochs:
            wanted = {**self._wanted, "partitions": list(epochs), "epochs": list(epochs.values())}
            await connection.execute(_RELEASE, wanted)


def by_lane(positions: Mapping[str, Any]) -> dict[int, int]:
    """Return checkpoints as they are stored, by lane."""
    return {int(lane): number for lane, number in positions.items()}
