"""One client's stream at the gateway: answers in any order, limits, and an end without a loss."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from directorybolt.gateway.v1 import append_service_pb2 as wire

from eventstore.memory import MemoryEventStore
from services.domain.errors import InvalidArgument
from services.gateway.conversation import TICK_SECONDS, UNDER_WAY_MAX, Conversation
from services.runtime.gateway_wire import REQUESTS_PER_MESSAGE_MAX, append_to_wire, pulse_to_wire
from tests.fix_events import append_to, event, wall_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from eventstore.types import Appended, StreamAppend


class PatientStore(MemoryEventStore):
    """Appends when it is told to."""

    def __init__(self) -> None:
        super().__init__(wall_time)
        self.begun = 0
        self.begins = asyncio.Event()
        self.gate = asyncio.Event()

    async def append(self, *appends: StreamAppend) -> Appended:
        """Append when the gate is open."""
        self.begun += 1
        self.begins.set()
        await self.gate.wait()
        return await super().append(*appends)


class FailingStore(MemoryEventStore):
    """Fails in a way that nobody foresaw."""

    async def append(self, *appends: StreamAppend) -> Appended:
        """Fail."""
        raise ZeroDivisionError(appends)


class Client:
    """What a client sends."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[wire.AppendRequest | None] = asyncio.Queue()

    def send(self, *numbers: int) -> None:
        """Send appends of these numbers, in one message."""
        appends = [append_to_wire(number, [append_to()]) for number in numbers]
        self._messages.put_nowait(wire.AppendRequest(appends=appends))

    def send_message(self, message: wire.AppendRequest) -> None:
        """Send whatever it is."""
        self._messages.put_nowait(message)

    def leave(self) -> None:
        """Send no more."""
        self._messages.put_nowait(None)

    async def messages(self) -> AsyncGenerator[wire.AppendRequest]:
        """Yield what was sent."""
        while (message := await self._messages.get()) is not None:
            yield message


def conversation(store: MemoryEventStore, age_seconds_max: float = 60, *, gone: bool = False) -> Conversation:
    """Return a conversation with a client that is there, or gone."""
    return Conversation(store, age_seconds_max=age_seconds_max, is_gone=lambda: gone)


async def hear(talk: Conversation, client: Client, answers: list[wire.Answer]) -> None:
    """Collect all answers until the stream ends."""
    async with aclosing(talk.answers(client.messages())) as responses:
        async for response in responses:
            answers += response.answers


async def heard(talk: Conversation, client: Client) -> Sequence[wire.Answer]:
    """Return all answers until the stream ends."""
    answers: list[wire.Answer] = []
    await hear(talk, client, answers)
    return answers


async def test_every_request_gets_its_answer() -> None:
    store, client = MemoryEventStore(wall_time), Client()
    client.send(5, 6)
    pulse = pulse_to_wire(9, uuid4(), "worker", uuid4(), event())
    client.send_message(wire.AppendRequest(pulses=[pulse]))
    client.leave()

    answers = {each.number: each for each in await heard(conversation(store), client)}

    assert {number: each.WhichOneof("outcome") for number, each in answers.items()} == {
        5: "appended",
        6: "appended",
        9: "appended",
    }
    assert (answers[5].appended.position, answers[6].appended.position) == (1, 2)
    assert (await store.head(-1)).number == 1


async def test_a_bad_request_harms_nobody_else() -> None:
    client = Client()
    bad = append_to_wire(1, [append_to(count=0)])
    worse = wire.LedgerAppend(number=2, streams=[wire.StreamAppend(stream_id=b"?")])
    good = append_to_wire(3, [append_to()])
    client.send_message(wire.AppendRequest(appends=[bad, worse, good]))
    client.leave()

    answers = await heard(conversation(MemoryEventStore(wall_time)), client)

    outcomes = {each.number: each.refused.refusal for each in answers}
    assert outcomes == {1: wire.REFUSAL_INVALID, 2: wire.REFUSAL_INVALID, 3: wire.REFUSAL_UNSPECIFIED}


async def test_a_fault_of_ours_leaves_open_what_became_of_the_request() -> None:
    client = Client()
    client.send(1)
    client.leave()

    [answer] = await heard(conversation(FailingStore(wall_time)), client)

    assert answer.refused.refusal == wire.REFUSAL_UNAVAILABLE
    assert "division" not in answer.refused.description


@pytest.mark.parametrize("count", [0, REQUESTS_PER_MESSAGE_MAX + 1])
async def test_a_message_that_breaks_the_limit_ends_the_stream(count: int) -> None:
    client = Client()
    client.send(*range(count))

    with pytest.raises(InvalidArgument) as refused:
        await heard(conversation(MemoryEventStore(wall_time)), client)

    assert str(count) in refused.value.violations[0].description


async def test_what_was_asked_before_a_bad_message_is_still_answered() -> None:
    client, answers = Client(), list[wire.Answer]()
    client.send(1)
    client.send()

    with pytest.raises(InvalidArgument):
        await hear(conversation(MemoryEventStore(wall_time)), client, answers)

    assert [each.number for each in answers] == [1]


async def test_a_client_with_much_under_way_is_not_read_from() -> None:
    store, client = PatientStore(), Client()
    for first in range(0, 2 * UNDER_WAY_MAX, REQUESTS_PER_MESSAGE_MAX):
        client.send(*range(first, first + REQUESTS_PER_MESSAGE_MAX))
    client.leave()
    answers = list[wire.Answer]()

    async with aclosing(conversation(store).answers(client.messages())) as responses:
        # Two responses without answers: the greeting, and a tick.
        assert not (await anext(responses)).answers
        assert not (await anext(responses)).answers
        assert store.begun == UNDER_WAY_MAX
        store.gate.set()
        async for response in responses:
            answers += response.answers

    assert len(answers) == store.begun == 2 * UNDER_WAY_MAX


async def test_a_client_that_hears_nothing_is_not_read_from() -> None:
    store, client = MemoryEventStore(wall_time), Client()
    for first in range(0, 3 * UNDER_WAY_MAX, REQUESTS_PER_MESSAGE_MAX):
        client.send(*range(first, first + REQUESTS_PER_MESSAGE_MAX))

    async with aclosing(conversation(store).answers(client.messages())) as responses:
        await anext(responses)
        for _ in range(200):
            await asyncio.sleep(0)

    assert (await store.head()).number == UNDER_WAY_MAX


async def test_who_waits_for_an_answer_hears_that_the_gateway_lives() -> None:
    store, client = PatientStore(), Client()
    client.send(1)

    async with aclosing(conversation(store).answers(client.messages())) as responses:
        async with asyncio.timeout(TICK_SECONDS * 40):
            ticks = [await anext(responses) for _ in range(3)]
        store.gate.set()
        answered = await anext(responses)

    assert not any(each.answers for each in ticks)
    assert [each.number for each in answered.answers] == [1]


async def test_an_old_stream_ends_in_order_with_all_answers() -> None:
    store, client = PatientStore(), Client()
    client.send(1, 2)
    answers = list[wire.Answer]()

    async with aclosing(conversation(store, 0.01).answers(client.messages())) as responses:
        for _ in range(3):
            await anext(responses)
        client.send(3)
        store.gate.set()
        async for response in responses:
            answers += response.answers

    assert sorted(each.number for each in answers) == [1, 2]


async def drained(store: PatientStore, *, gone: bool) -> tuple[Sequence[wire.Answer], int]:
    """Cancel a stream with an append under way; return what was told, and how many tasks are left of it."""
    client, answers = Client(), list[wire.Answer]()
    client.send(1)
    before = asyncio.all_tasks()
    talking = asyncio.create_task(hear(conversation(store, gone=gone), client, answers))
    await store.begins.wait()
    talking.cancel()
    await asyncio.sleep(0)
    store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await talking
    return answers, len(asyncio.all_tasks() - before)


async def test_a_drain_tells_what_is_under_way_and_leaves_no_task() -> None:
    answers, tasks_left = await drained(PatientStore(), gone=False)

    assert [each.number for each in answers] == [1]
    assert tasks_left == 0


async def test_nothing_is_appended_for_a_client_that_is_gone() -> None:
    store = PatientStore()

    answers, tasks_left = await drained(store, gone=True)

    assert (list(answers), tasks_left) == ([], 0)
    assert (await store.head()).number == 0
