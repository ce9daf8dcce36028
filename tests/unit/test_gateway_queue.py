"""The queue before the gateway: bounded, in order, and honest about what has no answer."""

from __future__ import annotations

import asyncio

import pytest
from directorybolt.gateway.v1 import append_service_pb2 as wire

from eventstore.errors import AppendQueueFull, StoreUnavailable
from services.runtime.gateway_queue import MESSAGE_BYTES_MAX, GatewayAway, GatewayQueue
from services.runtime.gateway_wire import REQUESTS_PER_MESSAGE_MAX


def asked(queue: GatewayQueue, payload: bytes = b"") -> asyncio.Task[wire.Answer]:
    """Ask for something in a task of its own."""
    events = [wire.NewEvent(payload=payload)]
    streams = [wire.StreamAppend(events=events)]
    return asyncio.create_task(queue.ask(wire.LedgerAppend(number=queue.next_number(), streams=streams)))


def pulsed(queue: GatewayQueue) -> asyncio.Task[wire.Answer]:
    """Ask for a pulse in a task of its own."""
    return asyncio.create_task(queue.ask(wire.PulseAppend(number=queue.next_number())))


def answered(*numbers: int) -> wire.AppendResponse:
    """Return the answers to these numbers."""
    return wire.AppendResponse(answers=[wire.Answer(number=number) for number in numbers])


async def test_what_waits_travels_in_one_message_and_in_order() -> None:
    queue = GatewayQueue()
    tasks = [asked(queue), pulsed(queue), asked(queue)]

    message = await queue.take()

    assert [each.number for each in message.appends] == [1, 3]
    assert [each.number for each in message.pulses] == [2]
    queue.settle(answered(3, 1, 2))
    assert [(await each).number for each in tasks] == [1, 2, 3]
    assert len(queue) == 0


async def test_a_message_holds_no_more_than_the_gateway_reads() -> None:
    queue = GatewayQueue()
    tasks = [asked(queue) for _ in range(REQUESTS_PER_MESSAGE_MAX + 1)]

    first, second = await queue.take(), await queue.take()

    assert (len(first.appends), len(second.appends)) == (REQUESTS_PER_MESSAGE_MAX, 1)
    queue.give_up()
    assert len(await asyncio.gather(*tasks, return_exceptions=True)) == len(tasks)


async def test_large_requests_get_a_message_each_and_larger_ones_none() -> None:
    queue = GatewayQueue()
    large = [asked(queue, bytes(MESSAGE_BYTES_MAX - 100)) for _ in range(2)]

    assert [len((await queue.take()).appends) for _ in large] == [1, 1]
    with pytest.raises(GatewayAway):
        await asked(queue, bytes(MESSAGE_BYTES_MAX))
    queue.settle(answered(1, 2))
    await asyncio.gather(*large)


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    queue = GatewayQueue(requests_max=1)
    first = asked(queue)
    await queue.take()

    with pytest.raises(AppendQueueFull):
        await asked(queue)

    queue.settle(answered(1))
    await first
    third = asked(queue)
    await queue.take()
    queue.settle(answered(3))
    assert (await third).number == 3


async def test_after_a_broken_stream_only_what_has_no_answer_is_sent_again() -> None:
    queue = GatewayQueue()
    tasks = [asked(queue) for _ in range(3)]
    await queue.take()
    queue.settle(answered(2))
    await tasks[1]

    queue.send_again()
    later = asked(queue)
    await asyncio.sleep(0)

    assert [each.number for each in (await queue.take()).appends] == [1, 3, 4]
    queue.settle(answered(1, 3, 4))
    await asyncio.gather(*tasks, later)


async def test_who_waits_is_told_when_the_gateway_is_given_up() -> None:
    queue = GatewayQueue()
    task = asked(queue)
    await queue.take()

    queue.give_up()

    with pytest.raises(GatewayAway):
        await task
    assert len(queue) == 0


async def test_a_request_that_nobody_waits_for_any_more_is_not_sent() -> None:
    queue = GatewayQueue()
    left, stayed = asked(queue), asked(queue)
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})

    assert [each.number for each in (await queue.take()).appends] == [2]
    queue.settle(answered(1, 2))
    assert (await stayed).number == 2


async def test_closing_waits_for_the_last_answer_and_takes_nothing_new() -> None:
    queue = GatewayQueue()
    task = asked(queue)
    await queue.take()

    closing = asyncio.create_task(queue.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await asked(queue)
    assert not closing.done()
    queue.settle(answered(1))

    await closing
    assert (await task).number == 1
