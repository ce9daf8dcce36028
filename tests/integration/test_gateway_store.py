"""Stores that append through a gateway: one that works, ends, refuses, is full, or has lost its database."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from directorybolt.gateway.v1 import append_service_pb2 as wire
from directorybolt.gateway.v1.append_service_pb2_grpc import AppendServiceStub

from eventstore.errors import AppendQueueFull
from eventstore.limits import APPEND_BYTES_MAX
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, PAYLOAD_BYTES_MAX, Appended, Position, StreamAppend
from services.runtime.gateway_store import GatewayEventStore, open_event_store
from services.runtime.gateway_wire import append_to_wire
from services.runtime.server import Connections
from tests.doubles.breaking_store import BreakingStore
from tests.fix_events import TENANT, append_to, event, read_everything
from tests.fix_gateway import RunningGateway, gateway_before
from tests.fix_mesh import refusal_of
from tests.fix_server import CONFIG, CUSTOMER_KEY, SERVICE_KEY, STAFF_KEY, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.fix_mesh import Refusal

pytest_plugins = ["tests.fix_postgres"]


@asynccontextmanager
async def gateway_on(url: str, **changes: Any) -> AsyncGenerator[RunningGateway]:
    """Serve a gateway to a database."""
    async with PostgresEventStore.open(url) as inner, gateway_before(inner, url, **changes) as gateway:
        yield gateway


async def write(store: GatewayEventStore, count: int) -> list[int]:
    """Append one event after the other; return their positions."""
    return [(await store.append(append_to(expected=NO_STREAM))).position.number for _ in range(count)]


async def through(store: GatewayEventStore) -> None:
    """Return when appends go through the gateway."""
    while store.is_direct:
        await store.wait_for_news(Position(0, 1_000_000), 0.05)


async def refusal(gateway: RunningGateway, message: wire.AppendRequest, key: str = SERVICE_KEY) -> Refusal:
    """Send one message, and return how the stream was refused."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stream = AppendServiceStub(channel).Append(iter([message]), metadata=bearer(key), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in stream:
                pass
        return refusal_of(refused.value)


async def test_many_processes_share_commits(database_url: str) -> None:
    async with gateway_on(database_url) as gateway, asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(_write_as_a_process(gateway, 25))

    async with PostgresEventStore.open(database_url) as store:
        events = await read_everything(store)
    assert [each.position.number for each in events] == list(range(1, 201))
    assert len({each.recorded_at for each in events}) < 100


async def _write_as_a_process(gateway: RunningGateway, count: int) -> None:
    async with gateway.store() as store:
        positions = await write(store, count)
        assert positions == sorted(positions)
        assert not store.is_direct


async def test_what_we_append_wakes_our_own_readers_at_once(database_url: str) -> None:
    async with gateway_on(database_url) as gateway, gateway.store() as store:
        await store.append(append_to())
        await store.wait_for_news(Position(0, 1), 0.05)  # listening has begun
        waiting = asyncio.create_task(store.wait_for_news(Position(0, 1), 60))

        await store.append(append_to())

        async with asyncio.timeout(10):
            await waiting


async def test_appends_go_on_while_old_streams_end_and_new_ones_begin(database_url: str) -> None:
    async with gateway_on(database_url, age_seconds_max=0.1) as gateway, gateway.store() as store:
        answers = [await store.append(append_to()) for _ in range(2)]
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 1:
            answers += await asyncio.gather(*(store.append(append_to()) for _ in range(3)))

        await through(store)
        events = await read_everything(store)
        assert len(events) == len(answers)
        assert {each.position for each in answers} == {each.position for each in events}


async def test_appends_go_on_while_connections_are_cut_for_their_age(database_url: str) -> None:
    young = Connections(age_max_seconds=0.2, age_grace_seconds=0.05)
    async with gateway_on(database_url, connections=young) as gateway, gateway.store() as store:
        began, answers = asyncio.get_running_loop().time(), list[Appended]()
        while asyncio.get_running_loop().time() < began + 2:
            answers += await asyncio.gather(*(store.append(append_to()) for _ in range(3)))

        await through(store)
        events = await read_everything(store)
        assert sorted(each.position.number for each in answers) == list(range(1, len(events) + 1))


async def test_a_gateway_that_drains_answers_first_and_then_appends_go_another_way(database_url: str) -> None:
    async with PostgresEventStore.open(database_url) as inner:
        async with gateway_before(inner, database_url) as gateway:
            opening = gateway.store()
            store = await opening.__aenter__()
            writing = [asyncio.create_task(write(store, 100)) for _ in range(4)]
            while (await inner.head()).number < 50:
                await inner.wait_for_news(await inner.head(), 1)
        positions = [each for one in await asyncio.gather(*writing) for each in one]
        assert store.is_direct
        assert sorted(positions) == list(range(1, 401))
        await opening.__aexit__(None, None, None)


async def test_without_a_gateway_appends_go_straight_to_the_database(database_url: str) -> None:
    async with GatewayEventStore.open(database_url, "127.0.0.1:1", SERVICE_KEY) as store:
        assert await write(store, 2) == [1, 2]
        await store.append_pulse(uuid4(), "worker", TENANT, event())

        assert store.is_direct
        assert await store.head(-1) == Position(-1, 1)


async def test_appends_find_the_gateway_again_when_it_is_back(database_url: str) -> None:
    async with PostgresEventStore.open(database_url) as inner:
        async with gateway_before(inner, database_url) as gateway, gateway.store() as store:
            assert await write(store, 1) == [1]
        port = gateway.serving.grpc_port
        async with gateway.store() as store:
            assert await write(store, 1) == [2]
            assert store.is_direct
            async with gateway_before(inner, database_url, port=port):
                await through(store)
                assert await write(store, 1) == [3]


async def test_an_append_whose_gateway_lost_its_database_is_made_directly_and_once(database_url: str) -> None:
    async with PostgresEventStore.open(database_url) as whole:
        broken = BreakingStore(whole, breaks_at=0, after=True)
        async with gateway_before(broken, database_url) as gateway, gateway.store() as store:
            answer = await store.append(append_to(count=2, expected=NO_STREAM))

            assert (answer.position.number, answer.duplicate) == (2, True)
            assert (await store.append(append_to())).position.number == 3
            assert not store.is_direct


async def test_a_gateway_whose_queue_is_full_says_so(database_url: str) -> None:
    async with (
        PostgresEventStore.open(database_url, queue_max=0) as full,
        gateway_before(full, database_url) as gateway,
        gateway.store() as store,
    ):
        with pytest.raises(AppendQueueFull):
            await store.append(append_to())
        with pytest.raises(AppendQueueFull):
            await store.append_pulse(uuid4(), "worker", TENANT, event())

        assert (await store.head()).number == 0


async def test_an_append_too_large_for_a_message_goes_straight_to_the_database(database_url: str) -> None:
    count = APPEND_BYTES_MAX // (PAYLOAD_BYTES_MAX + 1_000)
    events = [event(bytes(PAYLOAD_BYTES_MAX)) for _ in range(count)]
    async with gateway_on(database_url) as gateway, gateway.store() as store:
        large, small = await asyncio.gather(
            store.append(StreamAppend(uuid4(), "job", TENANT, events)), store.append(append_to())
        )

        assert {large.versions, small.versions} == {(count,), (1,)}
        assert not store.is_direct


async def test_only_services_may_append(database_url: str) -> None:
    message = wire.AppendRequest(appends=[append_to_wire(1, [append_to()])])
    async with gateway_on(database_url) as gateway:
        found = [await refusal(gateway, message, key) for key in ("", STAFF_KEY, CUSTOMER_KEY)]

        assert [each.code.name for each in found] == [
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
        ]
        async with gateway.store() as store:
            assert (await store.head()).number == 0


async def test_a_message_beyond_the_limits_is_refused_in_words(database_url: str) -> None:
    huge = wire.NewEvent(payload=bytes(11 * 1_048_576))
    async with gateway_on(database_url) as gateway:
        empty = await refusal(gateway, wire.AppendRequest())
        large = await refusal(gateway, wire.AppendRequest(pulses=[wire.PulseAppend(number=1, event=huge)]))

    assert (empty.code.name, empty.fields) == (
        "INVALID_ARGUMENT",
        {"appends": "a message holds 1 to 512 of them, not 0"},
    )
    assert large.code.name == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(("address", "kind"), [("", PostgresEventStore), ("127.0.0.1:1", GatewayEventStore)])
async def test_an_address_means_through_the_gateway(database_url: str, address: str, kind: type) -> None:
    async with open_event_store(replace(CONFIG, database_url=database_url, gateway_address=address)) as store:
        assert type(store) is kind
