"""Every store against a plain model: whatever is appended in whatever order, and read in whatever way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from eventstore.audit.chain import GENESIS, link
from eventstore.errors import EventIdReused, EventStoreError, InvalidAppend, WrongExpectedVersion
from eventstore.memory import MemoryEventStore
from eventstore.postgres import PostgresEventStore
from eventstore.types import (
    ANY_VERSION,
    LEDGER_LANE,
    PULSE_LANE,
    Filter,
    Partitions,
    Position,
    StreamAppend,
)
from tests.cloned_database import cloned_database
from tests.doubles.plain_log import Entry, PlainLog
from tests.fix_events import OTHER_TENANT, TENANT, event, read_everything, wall_time
from tests.fix_gateway import through_a_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from eventstore.store import EventStore
    from eventstore.types import Appended
    from stack.postgres import EmbeddedPostgres
    from tests.doubles.plain_log import Outcome

    Request = Sequence[tuple[int, str, int]]

pytest_plugins = ["tests.fix_postgres"]

STREAMS: Final = 5
TENANTS: Final = (TENANT, OTHER_TENANT)
CATEGORIES: Final = ("job", "submission")
TYPES: Final = ("test.v1.Begun", "test.v1.Moved", "test.v1.Ended")
TRY: Final = settings(max_examples=25, stateful_step_count=20, deadline=None)


def outcome(answer: Appended | BaseException, base: int) -> Outcome:
    """Return a store's answer in the model's words; positions count from the machine's start."""
    if isinstance(answer, WrongExpectedVersion):
        return f"WrongExpectedVersion {answer.stream_id} {answer.found}"
    if isinstance(answer, EventIdReused | InvalidAppend):
        return type(answer).__name__
    assert not isinstance(answer, BaseException), answer
    return tuple(answer.versions), answer.position.number - base, answer.duplicate


one_append = st.tuples(
    st.integers(0, STREAMS - 1),
    st.sampled_from(
        ["any", "exact", "exact", "exact", "wrong", "none", "another tenant", "another category"]
    ),
    st.integers(1, 3),
)
one_request = st.lists(one_append, min_size=1, max_size=3, unique_by=lambda each: each[0])
one_filter = st.builds(
    Filter,
    categories=st.frozensets(st.sampled_from(CATEGORIES), max_size=1),
    event_types=st.frozensets(st.sampled_from([*TYPES, "test.v1.Never"]), max_size=2),
    tenant=st.sampled_from([None, *TENANTS]),
    partitions=st.none()
    | st.builds(Partitions, st.just(3), st.frozensets(st.integers(0, 2), min_size=1, max_size=2)),
)


class Play(RuleBasedStateMachine):
    """Plays with a store beside a model; each example takes streams of its own."""

    store: ClassVar[EventStore]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.model = PlainLog()
        self.streams = [uuid4() for _ in range(STREAMS)]
        self.base = self.runner.run(self.store.head()).number
        self.pulse_base = self.runner.run(self.store.head(PULSE_LANE)).number
        self.sent: list[tuple[StreamAppend, ...]] = []

    def made(self, request: Request) -> tuple[StreamAppend, ...]:
        """Make a request: expected versions are right or wrong as the model stands now."""
        return tuple(self.one(stream, kind, count) for stream, kind, count in request)

    def one(self, stream: int, kind: str, count: int) -> StreamAppend:
        """Make an append of a kind."""
        found = self.model.version(self.streams[stream])
        tenant, category = stream % 2, stream // 2 % 2
        return StreamAppend(
            self.streams[stream],
            CATEGORIES[category ^ (kind == "another category")],
            TENANTS[tenant ^ (kind == "another tenant")],
            [event(bytes([number]), TYPES[(stream + number) % len(TYPES)]) for number in range(count)],
            {"exact": found, "wrong": found + 1, "none": 0}.get(kind, ANY_VERSION),
        )

    def play(self, requests: Sequence[tuple[StreamAppend, ...]]) -> None:
        """Append all at once; the store must answer as the model does one after the other."""
        answers = self.runner.run(self.gather(requests))
        for appends, answer in zip(requests, answers, strict=True):
            assert outcome(answer, self.base) == self.model.append(appends)
        self.sent += requests

    async def gather(
        self, requests: Sequence[tuple[StreamAppend, ...]]
    ) -> Sequence[Appended | BaseException]:
        """Append all at once."""
        return await asyncio.gather(*(self.store.append(*each) for each in requests), return_exceptions=True)

    @rule(request=one_request)
    def append(self, request: Request) -> None:
        """Append one."""
        self.play([self.made(request)])

    @rule(requests=st.lists(one_request, min_size=2, max_size=8))
    def append_many_at_once(self, requests: Sequence[Request]) -> None:
        """Append several at once, to the same few streams."""
        self.play([self.made(each) for each in requests])

    @rule(request=one_request)
    def append_the_same_twice_at_once(self, request: Request) -> None:
        """Append one, and send it again before it is answered."""
        made = self.made(request)
        self.play([made, made])

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send an earlier one again, event ids and all, while others are under way."""
        if self.sent:
            again = data.draw(st.sampled_from(self.sent))
            others = data.draw(st.lists(one_request, max_size=3))
            self.play([*(self.made(each) for each in others), again])

    @rule(data=st.data(), kind=st.sampled_from(["longer", "shorter", "elsewhere", "backwards"]))
    def send_altered(self, data: st.DataObject, kind: str) -> None:
        """Send the event ids of an earlier one in another way."""
        if not self.sent:
            return
        first, *rest = data.draw(st.sampled_from(self.sent))
        events = list(first.events)
        if kind == "longer":
            altered = (replace(first, events=[*events, event()]), *rest)
        elif kind == "shorter":
            altered = (replace(first, events=events[:1]), *rest[:-1])
        elif kind == "backwards":
            altered = (replace(first, events=events[::-1]), *rest)
        else:
            altered = (replace(first, stream_id=uuid4(), expected_version=ANY_VERSION), *rest)
        self.play([altered])

    @rule(stream=st.integers(0, STREAMS - 1), count=st.integers(1, 3))
    def beat(self, stream: int, count: int) -> None:
        """Append pulses, one after the other."""
        pulse = self.one(stream, "any", count)
        for sent in pulse.events:
            self.runner.run(self.store.append_pulse(pulse.stream_id, pulse.category, pulse.tenant, sent))
        self.model.beat(pulse)

    @rule(only=one_filter, limit=st.integers(1, 7), lane=st.sampled_from([LEDGER_LANE, PULSE_LANE]))
    def read_filtered(self, only: Filter, limit: int, lane: int) -> None:
        """Read a lane through a filter, in pages of any size."""
        base = self.base if lane == LEDGER_LANE else self.pulse_base
        log = self.model.ledger if lane == LEDGER_LANE else self.model.pulses

        assert self.runner.run(self.pages(Position(lane, base), only, limit)) == [
            each for each in log if each.wanted(only)
        ]

    async def pages(self, after: Position, only: Filter, limit: int) -> list[Entry]:
        """Read page by page to the end; each page must get further."""
        found: list[Entry] = []
        while True:
            page = await self.store.read_all(after, limit=limit, only=only)
            assert len(page.events) <= limit
            found += [Entry.of(each) for each in page.events]
            if page.scanned == after:
                return found
            assert page.scanned.number > after.number
            after = page.scanned

    @rule(data=st.data(), limit=st.integers(1, 5))
    def read_a_stream(self, data: st.DataObject, limit: int) -> None:
        """Read a part of a stream, as it is or as it was."""
        stream_id = data.draw(st.sampled_from(self.streams))
        until = data.draw(st.none() | st.integers(0, len(self.model.ledger)))
        tenant = data.draw(st.sampled_from([None, *TENANTS]))
        first = data.draw(st.integers(1, 6))
        as_of = None if until is None else Position(LEDGER_LANE, self.base + until)

        read = self.runner.run(
            self.store.read_stream(stream_id, from_version=first, limit=limit, tenant=tenant, as_of=as_of)
        )

        expected = self.model.stream(stream_id, until)[first - 1 :][:limit]
        assert [Entry.of(each) for each in read] == [
            each for each in expected if tenant is None or each.tenant == tenant
        ]

    @invariant()
    def the_log_is_the_models(self) -> None:
        """Hold at every step."""
        self.runner.run(self.compare())

    async def compare(self) -> None:
        """Compare the log with the model."""
        page = await self.store.read_all(Position(LEDGER_LANE, self.base), limit=10_000)
        assert [Entry.of(each) for each in page.events] == self.model.ledger
        head = await self.store.head()
        assert head.number - self.base == len(self.model.ledger)


def play(make: AbstractAsyncContextManager[EventStore]) -> None:
    """Run the machine on a store, and check its chain when it is done."""
    with asyncio.Runner() as runner:
        store = runner.run(make.__aenter__())
        machine = type("PlayOnStore", (Play,), {"store": store, "runner": runner})
        try:
            run_state_machine_as_test(machine, settings=TRY)
            runner.run(check_chain(store))
        finally:
            runner.run(make.__aexit__(None, None, None))


async def check_chain(store: EventStore) -> None:
    """Recompute every hash."""
    previous = GENESIS
    events = await read_everything(store)
    assert len(events) > 100
    for each in events:
        previous = link(previous, each)
        assert each.hash == previous


@asynccontextmanager
async def in_memory() -> AsyncGenerator[EventStore]:
    """Give a store in memory."""
    yield MemoryEventStore(wall_time)


@asynccontextmanager
async def on_postgres(postgres: EmbeddedPostgres) -> AsyncGenerator[EventStore]:
    """Give a store in a database of its own."""
    async with cloned_database(postgres) as url, PostgresEventStore.open(url) as store:
        yield store


def test_the_store_in_memory_is_the_model() -> None:
    play(in_memory())


def test_the_store_on_postgres_is_the_model(postgres_cluster: EmbeddedPostgres) -> None:
    play(on_postgres(postgres_cluster))


def test_the_store_behind_a_gateway_is_the_model(postgres_cluster: EmbeddedPostgres) -> None:
    play(through_a_gateway(postgres_cluster))


def test_the_model_refuses_what_it_should() -> None:
    stream_id = uuid4()
    model = PlainLog()
    first = (StreamAppend(stream_id, "job", TENANT, [event()], 0),)
    stolen = replace(first[0], events=[event()], tenant=OTHER_TENANT, expected_version=1)

    assert model.append(first) == ((1,), 1, False)
    assert model.append(first) == ((1,), 1, True)
    assert model.append((replace(first[0], events=[event()]),)) == f"WrongExpectedVersion {stream_id} 1"
    assert model.append((stolen,)) == "InvalidAppend"
    with pytest.raises(AssertionError):
        outcome(EventStoreError(), 0)
