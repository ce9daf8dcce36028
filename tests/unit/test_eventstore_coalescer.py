"""How appends are gathered into batches: together, bounded, in order, and each with its own fate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from eventstore.appending.coalescer import BYTES_PER_BATCH_MAX, REQUESTS_PER_BATCH_MAX, Coalescer
from eventstore.errors import AppendQueueFull, InvalidAppend, StoreUnavailable
from eventstore.line import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Outcome: TypeAlias = Sequence[str | Exception] | Exception


class Recorder:
    """Takes batches when the test lets it, and fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.losses_count = 0
        self.poison: set[str] = set()
        self.closed = False
        self._last: asyncio.Task[None] | None = None

    def begin(self, batch: Sequence[str], answered: Callable[[Outcome], None]) -> None:
        """Answer each request in upper case, after what was begun before."""
        self.entered.set()
        before = self._last
        self._last = asyncio.create_task(self._answer(batch, answered, before))

    async def _answer(
        self, batch: Sequence[str], answered: Callable[[Outcome], None], before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await before
        try:
            outcome = await self._outcome(batch)
        except (ConnectionLost, InvalidAppend) as error:
            outcome = error
        answered(outcome)

    async def _outcome(self, batch: Sequence[str]) -> Sequence[str | Exception]:
        await self.gate.wait()
        self.batches.append(list(batch))
        if self.losses_count:
            self.losses_count -= 1
            raise ConnectionLost
        if self.poison & set(batch):
            raise InvalidAppend("poison")
        return [InvalidAppend(each) if each.startswith("bad") else each.upper() for each in batch]

    async def close(self) -> None:
        """Take note."""
        self.closed = True


def submit(
    coalescer: Coalescer[str, str], text: str, event_id: UUID | None = None, size_bytes: int = 100
) -> asyncio.Task[str]:
    """Submit from a task of its own."""
    return asyncio.create_task(coalescer.submit(text, frozenset([event_id or uuid4()]), size_bytes))


def made(recorder: Recorder, *, queue_max: int = 10_000, patience_seconds: float = 10) -> Coalescer[str, str]:
    """Return a coalescer in front of a recorder."""
    return Coalescer(recorder, queue_max=queue_max, patience_seconds=patience_seconds)


async def test_what_arrives_while_a_batch_is_under_way_goes_together() -> None:
    recorder = Recorder()
    coalescer = made(recorder)
    recorder.gate.clear()
    first = submit(coalescer, "a")
    await recorder.entered.wait()
    others = [submit(coalescer, each) for each in "bcd"]
    await asyncio.sleep(0)
    recorder.gate.set()

    assert await asyncio.gather(first, *others) == ["A", "B", "C", "D"]

    assert recorder.batches == [["a"], ["b", "c", "d"]]
    await coalescer.close()
    assert recorder.closed


async def test_a_batch_has_a_size() -> None:
    recorder = Recorder()
    coalescer = made(recorder)

    many = 2 * REQUESTS_PER_BATCH_MAX + 5
    await asyncio.gather(*(submit(coalescer, str(number)) for number in range(many)))
    await asyncio.gather(*(submit(coalescer, "big", size_bytes=BYTES_PER_BATCH_MAX // 2) for _ in range(3)))
    await asyncio.gather(*(submit(coalescer, "huge", size_bytes=BYTES_PER_BATCH_MAX * 3) for _ in range(2)))

    assert [len(each) for each in recorder.batches] == [*[REQUESTS_PER_BATCH_MAX] * 2, 5, 2, 1, 1, 1]
    await coalescer.close()


async def test_equal_event_ids_never_meet_in_a_batch() -> None:
    recorder = Recorder()
    coalescer = made(recorder)
    event_id = uuid4()

    await asyncio.gather(
        submit(coalescer, "x", event_id), submit(coalescer, "y"), submit(coalescer, "z", event_id)
    )

    assert recorder.batches == [["x", "y"], ["z"]]
    await coalescer.close()


async def test_a_refused_request_fails_alone() -> None:
    recorder = Recorder()
    coalescer = made(recorder)

    answers = await asyncio.gather(
        *(submit(coalescer, each) for each in ("a", "bad", "b")), return_exceptions=True
    )

    assert [answers[0], type(answers[1]), answers[2]] == ["A", InvalidAppend, "B"]
    assert len(recorder.batches) == 1
    await coalescer.close()


async def test_a_request_that_breaks_its_batch_breaks_nobody_else() -> None:
    recorder = Recorder()
    recorder.poison = {"p"}
    coalescer = made(recorder)

    answers = await asyncio.gather(
        *(submit(coalescer, each) for each in ("a", "p", "b")), return_exceptions=True
    )

    assert [answers[0], type(answers[1]), answers[2]] == ["A", InvalidAppend, "B"]
    assert recorder.batches == [["a", "p", "b"], ["a"], ["p"], ["b"]]
    await coalescer.close()


async def test_after_a_lost_connection_the_same_batch_is_sent_again() -> None:
    recorder = Recorder()
    recorder.losses_count = 2
    coalescer = made(recorder)

    answers = await asyncio.gather(*(submit(coalescer, each) for each in "ab"))

    assert answers == ["A", "B"]
    assert recorder.batches == [["a", "b"]] * 3
    await coalescer.close()


async def test_patience_ends() -> None:
    recorder = Recorder()
    recorder.losses_count = 1_000
    coalescer = made(recorder, patience_seconds=0.1)

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(submit(coalescer, each) for each in "ab"), return_exceptions=True)
    recorder.losses_count = 0

    assert [type(each) for each in answers] == [StoreUnavailable] * 2
    assert await submit(coalescer, "c") == "C"
    await coalescer.close()


@pytest.mark.parametrize(("size_bytes", "taken"), [(100, 3), (40 * 1_048_576, 1)])
async def test_a_full_queue_refuses_at_once(size_bytes: int, taken: int) -> None:
    recorder = Recorder()
    coalescer = made(recorder, queue_max=3)
    recorder.gate.clear()
    first = submit(coalescer, "first")
    await recorder.entered.wait()

    waiting = [submit(coalescer, str(number), size_bytes=size_bytes) for number in range(5)]
    await asyncio.sleep(0)
    refused = [each for each in waiting if each.done() and isinstance(each.exception(), AppendQueueFull)]
    assert len(refused) == 5 - taken

    recorder.gate.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    await coalescer.close()


async def test_a_cancelled_caller_is_left_out() -> None:
    recorder = Recorder()
    coalescer = made(recorder)
    recorder.gate.clear()
    first = submit(coalescer, "a")
    await recorder.entered.wait()
    doomed, other = submit(coalescer, "doomed"), submit(coalescer, "b")
    await asyncio.sleep(0)
    doomed.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()

    assert await asyncio.gather(first, other) == ["A", "B"]
    assert recorder.batches == [["a"], ["b"]]
    await coalescer.close()


async def test_closing_sends_what_waits_and_takes_no_more() -> None:
    recorder = Recorder()
    coalescer = made(recorder)
    waiting = [submit(coalescer, each) for each in "abc"]
    await asyncio.sleep(0)

    await coalescer.close()

    assert await asyncio.gather(*waiting) == ["A", "B", "C"]
    with pytest.raises(StoreUnavailable):
        await submit(coalescer, "late")


async def test_a_closed_coalescer_that_was_never_used_is_quiet() -> None:
    recorder = Recorder()

    await made(recorder).close()

    assert recorder.closed
