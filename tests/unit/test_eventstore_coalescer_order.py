"""Two batches are under way at once, lines break and batches are refused: order and effect stay right."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from eventstore.appending.coalescer import REQUESTS_BESIDE_MIN, Coalescer
from eventstore.errors import InvalidAppend, StoreUnavailable
from eventstore.line import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Outcome: TypeAlias = Sequence[int | Exception] | Exception
    Begun: TypeAlias = tuple[Sequence["Wish"], Callable[[Outcome], None]]

STREAMS = [UUID(int=number) for number in range(6)]


@dataclass(eq=False, frozen=True)
class Wish:
    """What a caller wants: a place in a stream. A broken one breaks its batch."""

    stream: UUID
    broken: bool
    event_id: UUID = field(default_factory=uuid4)


class Database:
    """Takes batches in order, each wish once; its line breaks as told, before or after a batch's effect."""

    def __init__(self, losses: Sequence[str]) -> None:
        self.streams: defaultdict[UUID, list[Wish]] = defaultdict(list)
        self.most_under_way = 0
        self._losses = deque(losses)
        self._begun: deque[Begun] = deque()
        self._known: set[UUID] = set()
        self._work: asyncio.Task[None] | None = None

    def begin(self, batch: Sequence[Wish], answered: Callable[[Outcome], None]) -> None:
        """Take a batch."""
        self._begun.append((batch, answered))
        self.most_under_way = max(self.most_under_way, len(self._begun))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer())

    async def close(self) -> None:
        """Do nothing."""

    async def _answer(self) -> None:
        while self._begun:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loss = self._losses.popleft() if self._losses else "none"
            if loss in ("none", "after"):
                outcome = self._apply(self._begun[0][0])
                if loss == "none":
                    self._begun.popleft()[1](outcome)
            if loss != "none":
                lost, self._begun = self._begun, deque()
                for _, answered in lost:
                    answered(ConnectionLost())

    def _apply(self, batch: Sequence[Wish]) -> Outcome:
        if any(each.broken for each in batch):
            return InvalidAppend("broken")
        for each in batch:
            if each.event_id not in self._known:
                self._known.add(each.event_id)
                self.streams[each.stream].append(each)
        return [1] * len(batch)


#: How many come at once, and what decides which.
waves = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 2**32).map(Random)), min_size=1, max_size=5)
losses = st.lists(st.sampled_from(["none", "none", "none", "before", "after"]), max_size=8)


@given(waves=waves, losses=losses)
def test_appends_of_one_stream_keep_their_order_whatever_breaks(
    waves: list[tuple[int, Random]], losses: list[str]
) -> None:
    with asyncio.Runner() as runner:
        database = Database(losses)
        wanted = runner.run(play(database, [made(count, random) for count, random in waves]))

    assert database.streams == wanted


def made(count: int, random: Random) -> list[Wish]:
    """Return so many wishes: for a stream of their own mostly, some for one that others name too."""
    return [
        Wish(random.choice(STREAMS) if random.random() < 0.2 else uuid4(), broken=random.random() < 0.02)
        for _ in range(count)
    ]


async def play(database: Database, waves: Sequence[Sequence[Wish]]) -> dict[UUID, list[Wish]]:
    """Submit each wave a little after the one before it; return what every stream should hold."""
    coalescer = Coalescer(database, queue_max=10_000, patience_seconds=60)
    wanted: defaultdict[UUID, list[Wish]] = defaultdict(list)
    waiting: list[asyncio.Task[int]] = []
    for wave in waves:
        for each in wave:
            if not each.broken:
                wanted[each.stream].append(each)
            submitted = coalescer.submit(each, frozenset([each.event_id]), 100, frozenset([each.stream]))
            waiting.append(asyncio.create_task(submitted))
        for _ in range(3):
            await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    await coalescer.close()
    broken = [each.broken for wave in waves for each in wave]
    assert [isinstance(each, InvalidAppend) for each in answers] == broken
    assert [each for each in answers if each != 1 and not isinstance(each, InvalidAppend)] == []
    return wanted


async def under_way_with(streams: Sequence[UUID]) -> int:
    """Submit a wish for each of these streams at once; return how many batches were under way at once."""
    database = Database([])
    coalescer = Coalescer(database, queue_max=1_000, patience_seconds=60)
    await asyncio.gather(
        *(
            coalescer.submit(wish, frozenset([wish.event_id]), 100, frozenset([wish.stream]))
            for wish in (Wish(stream, broken=False) for stream in streams)
        )
    )
    await coalescer.close()
    return database.most_under_way


async def test_many_requests_go_out_in_two_batches_at_once_and_few_in_one() -> None:
    assert await under_way_with([uuid4() for _ in range(2 * REQUESTS_BESIDE_MIN)]) == 2
    assert await under_way_with([uuid4() for _ in range(2 * REQUESTS_BESIDE_MIN - 1)]) == 1


async def test_a_stream_under_way_is_waited_for() -> None:
    assert await under_way_with([STREAMS[0]] * 4 * REQUESTS_BESIDE_MIN) == 1


class Hasty(Database):
    """Refuses a broken batch at once, before it answers what came earlier."""

    def begin(self, batch: Sequence[Wish], answered: Callable[[Outcome], None]) -> None:
        """Take a batch, or refuse it."""
        if any(each.broken for each in batch):
            asyncio.get_running_loop().call_soon(answered, InvalidAppend("broken"))
        else:
            super().begin(batch, answered)


@given(waves=waves, losses=losses)
def test_a_batch_that_is_refused_before_it_is_sent_mixes_nothing_up(
    waves: list[tuple[int, Random]], losses: list[str]
) -> None:
    with asyncio.Runner() as runner:
        database = Hasty(losses)
        wanted = runner.run(play(database, [made(count, random) for count, random in waves]))

    assert database.streams == wanted


class Stalled:
    """A database that answers nothing."""

    def __init__(self) -> None:
        self.begun_count = 0

    def begin(self, batch: Sequence[Wish], answered: Callable[[Outcome], None]) -> None:  # noqa: ARG002
        """Take a batch, for ever."""
        self.begun_count += 1

    async def close(self) -> None:
        """Do nothing."""


async def test_a_stalled_database_keeps_nobody_longer_than_patience() -> None:
    stalled = Stalled()
    coalescer = Coalescer(stalled, queue_max=1_000, patience_seconds=0.05)
    wanted = [Wish(uuid4(), broken=False) for _ in range(256)]

    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(
                coalescer.submit(each, frozenset([each.event_id]), 100, frozenset([each.stream]))
                for each in wanted
            ),
            return_exceptions=True,
        )

    assert {type(each) for each in answers} == {StoreUnavailable}
    assert stalled.begun_count == 2
