"""Both stores against a plain model: whatever is appended in whatever order, all three agree."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from eventstore.audit.chain import GENESIS, link
from eventstore.errors import EventIdReused, EventStoreError, WrongExpectedVersion
from eventstore.memory import MemoryEventStore
from eventstore.postgres import PostgresEventStore
from eventstore.types import ANY_VERSION, Position, StreamAppend
from tests.cloned_database import cloned_database
from tests.fix_events import TENANT, event, read_everything, wall_time
from tests.fix_gateway import through_a_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from eventstore.store import EventStore
    from eventstore.types import Appended
    from stack.postgres import EmbeddedPostgres

    Request = Sequence[tuple[int, str, int]]

pytest_plugins = ["tests.fix_postgres"]

STREAMS = 4
TRY = settings(max_examples=25, stateful_step_count=20, deadline=None)


@dataclass
class Model:
    """What a log is: a list, and what was answered."""

    log: list[tuple[UUID, int, UUID]] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)
    answers: dict[UUID, tuple[list[tuple[UUID, UUID]], tuple[int, ...], int]] = field(default_factory=dict)

    def append(self, appends: Sequence[StreamAppend]) -> tuple[tuple[int, ...], int, bool] | str:
        """Return versions, last position and whether it is a duplicate; or the name of the refusal."""
        keys = [(each.stream_id, sent.event_id) for each in appends for sent in each.events]
        known = [self.answers[event_id] for _, event_id in keys if event_id in self.answers]
        if known:
            first_keys, versions, position = known[0]
            return (versions, position, True) if first_keys == keys else "EventIdReused"
        for each in appends:
            found = self.versions.get(each.stream_id, 0)
            if each.expected_version not in (ANY_VERSION, found):
                return f"WrongExpectedVersion {each.stream_id} {found}"
        for each in appends:
            for sent in each.events:
                version = self.versions.get(each.stream_id, 0) + 1
                self.versions[each.stream_id] = version
                self.log.append((each.stream_id, version, sent.event_id))
        versions = tuple(self.versions[each.stream_id] for each in appends)
        self.answers.update((event_id, (keys, versions, len(self.log))) for _, event_id in keys)
        return versions, len(self.log), False


def outcome(answer: Appended | BaseException, base: int) -> tuple[tuple[int, ...], int, bool] | str:
    """Return a store's answer in the model's words; positions count from the machine's start."""
    if isinstance(answer, WrongExpectedVersion):
        return f"WrongExpectedVersion {answer.stream_id} {answer.found}"
    if isinstance(answer, EventIdReused):
        return "EventIdReused"
    assert not isinstance(answer, BaseException), answer
    return tuple(answer.versions), answer.position.number - base, answer.duplicate


one_append = st.tuples(
    st.integers(0, STREAMS - 1),
    st.sampled_from(["any", "exact", "exact", "wrong", "none"]),
    st.integers(1, 3),
)
one_request = st.lists(one_append, min_size=1, max_size=3, unique_by=lambda each: each[0])


class Play(RuleBasedStateMachine):
    """Plays with a store beside a model; each example takes streams of its own."""

    store: ClassVar[EventStore]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.streams = [uuid4() for _ in range(STREAMS)]
        self.base = self.runner.run(self.store.head()).number
        self.sent: list[tuple[StreamAppend, ...]] = []

    def made(self, request: Request) -> tuple[StreamAppend, ...]:
        """Make a request: expected versions are right or wrong as the model stands now."""
        return tuple(
            StreamAppend(
                self.streams[stream],
                "job",
                TENANT,
                [event(bytes([number])) for number in range(count)],
                self.expected(stream, kind),
            )
            for stream, kind, count in request
        )

    def expected(self, stream: int, kind: str) -> int:
        """Return an expected version of a kind."""
        found = self.model.versions.get(self.streams[stream], 0)
        return {"any": ANY_VERSION, "exact": found, "wrong": found + 1, "none": 0}[kind]

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

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send an earlier one again, event ids and all."""
        if self.sent:
            self.play([data.draw(st.sampled_from(self.sent))])

    @rule(data=st.data())
    def send_altered(self, data: st.DataObject) -> None:
        """Send an earlier one with one more event."""
        if self.sent:
            first, *rest = data.draw(st.sampled_from(self.sent))
            self.play([(replace(first, events=[*first.events, event()]), *rest)])

    @invariant()
    def the_log_is_the_models(self) -> None:
        """Hold at every step."""
        self.runner.run(self.compare())

    async def compare(self) -> None:
        """Compare the log and every stream with the model."""
        page = await self.store.read_all(Position(0, self.base), limit=10_000)
        found = [(each.stream_id, each.version, each.event_id) for each in page.events]
        assert found == self.model.log
        for stream_id, version in self.model.versions.items():
            assert len(await self.store.read_stream(stream_id)) == version


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
    model = Model()
    first = (StreamAppend(stream_id, "job", TENANT, [event()], 0),)

    assert model.append(first) == ((1,), 1, False)
    assert model.append(first) == ((1,), 1, True)
    assert model.append((replace(first[0], events=[event()]),)) == f"WrongExpectedVersion {stream_id} 1"
    with pytest.raises(AssertionError):
        outcome(EventStoreError(), 0)
