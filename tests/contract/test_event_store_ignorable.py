"""Whoever brings an event type first says whether readers may pass over it; that is never taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from eventstore.postgres import PostgresEventStore
from eventstore.types import PULSE_LANE, StreamAppend
from tests.fix_events import TENANT, event, read_everything

if TYPE_CHECKING:
    from eventstore.store import EventStore

pytest_plugins = ["tests.fix_postgres"]


async def append(store: EventStore, event_type: str, *, ignorable: bool) -> None:
    """Append an event of a type to a stream of its own."""
    new = replace(event(event_type=event_type), ignorable=ignorable)
    await store.append(StreamAppend(uuid4(), "job", TENANT, [new]))


async def test_an_event_says_whether_its_type_is_ignorable(store: EventStore):
    await append(store, "Noted", ignorable=True)
    await append(store, "Decided", ignorable=False)
    await store.append_pulse(
        uuid4(), "worker", TENANT, replace(event(event_type="WorkerPulse"), ignorable=True)
    )

    assert [(each.event_type, each.ignorable) for each in await read_everything(store)] == [
        ("Noted", True),
        ("Decided", False),
    ]
    assert [each.ignorable for each in await read_everything(store, PULSE_LANE)] == [True]


async def test_what_the_first_one_said_of_a_type_stays(store: EventStore):
    await append(store, "Decided", ignorable=False)
    await append(store, "Decided", ignorable=True)

    assert [each.ignorable for each in await read_everything(store)] == [False, False]


async def test_another_process_learns_it_from_the_database(database_url: str):
    async with PostgresEventStore.open(database_url) as one, PostgresEventStore.open(database_url) as other:
        await append(one, "Noted", ignorable=True)
        await append(other, "Noted", ignorable=False)

        assert [each.ignorable for each in await read_everything(other)] == [True, True]


async def test_of_many_that_bring_types_at_once_each_gets_its_own_answer(database_url: str):
    async with PostgresEventStore.open(database_url) as one, PostgresEventStore.open(database_url) as other:
        await asyncio.gather(
            *(append(one, f"Type{number}", ignorable=number % 2 == 0) for number in range(20)),
            *(append(other, f"Type{number}", ignorable=number % 2 == 0) for number in reversed(range(20))),
        )

        found = {each.event_type: each.ignorable for each in await read_everything(one)}
    assert found == {f"Type{number}": number % 2 == 0 for number in range(20)}
