"""append_v1 of the release before and what is called now keep the same promises, on one lane, at once."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.appending.import_events import import_events
from eventstore.audit.verify_log import verify_log
from eventstore.lanes import lane_of
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from tests.cloned_database import cloned_database
from tests.fix_events import OTHER_TENANT, TENANT, append_to, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from psycopg import AsyncConnection

    from eventstore.types import StreamAppend
    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres"]

ARGUMENTS: LiteralString = (
    "%s::smallint, %s::integer[], %s::uuid[], %s::uuid[], %s::smallint[], %s::integer[], %s::integer[],"
    " %s::uuid[], %s::smallint[], %s::smallint[], %s::bytea[], %s::uuid[], %s::uuid[], %s::text[], %s::text[]"
)
BY_V1: LiteralString = "select * from es.append_v1(" + ARGUMENTS + ") order by 1"  # noqa: S608 - ours
BY_V2: LiteralString = "select * from es.append_v2(" + ARGUMENTS + ")"  # noqa: S608 - ours
BY_ONE: LiteralString = (
    "select * from es.append_one_v1(%s::smallint, %s, %s, %s::smallint, %s, %s, 1::smallint, 1::smallint, %s,"
    " null, null, '', %s)"
)
CATEGORIES: Final = ("job", "profile")


@dataclass(frozen=True)
class Part:
    """A stream of a request."""

    stream: UUID
    tenant: UUID
    category: int
    expected: int
    event_ids: tuple[UUID, ...]


def arguments(requests: Sequence[Sequence[Part]]) -> list[Any]:
    """Return a batch as both functions take it."""
    parts = [(number, part) for number, request in enumerate(requests, 1) for part in request]
    ids = [event_id for _, part in parts for event_id in part.event_ids]
    return [
        0,
        [number for number, _ in parts],
        [part.stream for _, part in parts],
        [part.tenant for _, part in parts],
        [part.category for _, part in parts],
        [part.expected for _, part in parts],
        [len(part.event_ids) for _, part in parts],
        ids,
        [1] * len(ids),
        [1] * len(ids),
        [event_id.bytes for event_id in ids],
        [None] * len(ids),
        [None] * len(ids),
        [""] * len(ids),
        ["actor"] * len(ids),
    ]


async def answered_by_v1(connection: AsyncConnection[Any], requests: Sequence[Sequence[Part]]) -> list[Any]:
    """Return code, position, versions, stream and version found of each request."""
    cursor = await connection.execute(BY_V1, arguments(requests))
    return [
        (code, *((position, versions) if code < 2 else (None, None)), stream, found)
        for _, code, position, _, versions, stream, found in await cursor.fetchall()
    ]


async def answered_by_one(connection: AsyncConnection[Any], part: Part) -> list[Any]:
    """Return the same of the function for one event."""
    [event_id] = part.event_ids
    place = [0, part.stream, part.tenant, part.category, part.expected]
    cursor = await connection.execute(BY_ONE, [*place, event_id, event_id.bytes, "actor"])
    row = await cursor.fetchone()
    assert row is not None
    code, position, _, version, found = row
    answer = (position, [version]) if code < 2 else (None, None)
    return [(code, *answer, 1 if code in (2, 4) else None, found)]


async def answered_today(connection: AsyncConnection[Any], requests: Sequence[Sequence[Part]]) -> list[Any]:
    """Return the same of whichever function the store calls now."""
    if [len(part.event_ids) for request in requests for part in request] == [1]:
        return await answered_by_one(connection, requests[0][0])
    return await answered_by_v2(connection, requests)


async def answered_by_v2(connection: AsyncConnection[Any], requests: Sequence[Sequence[Part]]) -> list[Any]:
    """Return the same of the other function."""
    cursor = await connection.execute(BY_V2, arguments(requests))
    row = await cursor.fetchone()
    assert row is not None
    last, _, versions, codes, positions, _, streams, found = row
    answers: list[Any] = []
    for number, request in enumerate(requests):
        last += sum(len(part.event_ids) for part in request)
        own, versions = versions[: len(request)], versions[len(request) :]
        if codes is None:
            answers.append((0, last, own, None, None))
        else:
            code = codes[number]
            answers.append(
                (code, positions[number], own if code < 2 else None, streams[number], found[number])
            )
    return answers


class Writer:
    """Makes batches up: fresh ones, repeats, altered repeats, conflicts, strangers, streams named twice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeatable
        self.streams = [self.identifier() for _ in range(12)]
        self.sent: list[list[Part]] = []

    def identifier(self) -> UUID:
        """Return one that follows from the seed."""
        return UUID(int=self.random.getrandbits(128))

    def part(self, stream: UUID) -> Part:
        """Return a part that fits, mostly."""
        return Part(
            stream,
            TENANT if self.random.random() < 0.95 else OTHER_TENANT,
            1 if self.random.random() < 0.95 else 2,
            self.random.choice([-1, -1, -1, 0, 1, 2, 5]),
            tuple(self.identifier() for _ in range(self.random.randint(1, 4))),
        )

    def request(self) -> list[Part]:
        """Return a request."""
        if self.sent and self.random.random() < 0.2:
            first, *others = self.random.choice(self.sent)
            more = (self.identifier(),) if self.random.random() < 0.3 else ()
            return [Part(first.stream, first.tenant, first.category, -1, first.event_ids + more), *others]
        fresh = self.random.random() < 0.3
        count = self.random.choice([1, 1, 1, 2, 3])
        streams = [self.identifier() if fresh else self.random.choice(self.streams) for _ in range(count)]
        return [self.part(stream) for stream in streams]

    def batch(self) -> list[list[Part]]:
        """Return requests without an event id twice."""
        made: list[list[Part]] = []
        ids: set[UUID] = set()
        for _ in range(self.random.choice([1, 1, 2, 5, 20])):
            request = self.request()
            own = {event_id for part in request for event_id in part.event_ids}
            if ids.isdisjoint(own):
                made.append(request)
                ids |= own
        self.sent += made
        return made

    def batches(self) -> Iterator[list[list[Part]]]:
        """Yield enough to cross a partition's end."""
        for _ in range(350):
            yield self.batch()


@pytest_asyncio.fixture
async def pair(postgres_cluster: EmbeddedPostgres) -> AsyncIterator[tuple[str, str]]:
    """Give two databases with the same names."""
    async with cloned_database(postgres_cluster) as first, cloned_database(postgres_cluster) as second:
        for url in (first, second):
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(
                    "select es.intern_v1(%s::text[], %s::text[])", [list(CATEGORIES), ["type"]]
                )
        yield first, second


ROWS: Final = (
    "select position, stream_id, event_id, tenant, version, category from es.event order by position",
    "select event_id, stream_id, position, version, lane, ordinal, count from es.event_key order by 1",
    "select stream_id, tenant, first_position, version, lane, category from es.stream_head order by 1",
)


@pytest.mark.parametrize("seed", range(4))
async def test_all_functions_answer_and_write_the_same(pair: tuple[str, str], seed: int) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(await psycopg.AsyncConnection.connect(url, autocommit=True))
            for url in pair
        ]
        codes: set[int] = set()
        for batch in Writer(seed).batches():
            expected = await answered_by_v1(first, batch)
            assert await answered_today(second, batch) == expected
            codes |= {answer[0] for answer in expected}

        assert codes == {0, 1, 2, 3, 4}
        for query in ROWS:
            rows = [await (await each.execute(query)).fetchall() for each in (first, second)]
            assert rows[0] == rows[1]
    for url in pair:
        verdict = await verify_log(url)
        assert not verdict.findings
        assert verdict.events_count > 1_000, "the partitions of tests have a thousand positions"


@pytest.mark.parametrize("counts", [[1, 1], [2, 2], [1, 1, 2]])
async def test_counts_that_do_not_add_up_are_refused_whole(pair: tuple[str, str], counts: list[int]) -> None:
    url, _ = pair
    requests = [[Part(uuid4(), TENANT, 1, -1, (uuid4(),))] for _ in range(2)]
    requests[0] = [Part(uuid4(), TENANT, 1, -1, (uuid4(), uuid4()))]
    given = arguments(requests)
    given[6] = counts
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.DataError):
            await connection.execute(BY_V2, given)

        rows = await connection.execute("select from es.event union all select from es.stream_head")
        assert await rows.fetchall() == []


async def test_every_function_refuses_a_tenant_of_another_lane(postgres_cluster: EmbeddedPostgres) -> None:
    name = f"lanes_{uuid4().hex[:8]}"
    url = await postgres_cluster.create_database(name)
    await migrate(url, settings={"lanes": "3"})
    strangers = [UUID(int=number) for number in range(99) if lane_of(UUID(int=number), 3) == 2]
    parts = [Part(uuid4(), strangers[0], 1, -1, (uuid4(),)) for _ in range(2)]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select es.intern_v1('{job}', '{type}')")

        answers = [
            *await answered_by_v1(connection, [parts[:1]]),
            *await answered_by_one(connection, parts[0]),
            *await answered_by_v2(connection, [[part] for part in parts]),
        ]

        assert answers == [(4, None, None, 1, None)] * 4
    await postgres_cluster.drop_database(name)


async def append_by_v1(url: str, streams: Sequence[UUID], count: int) -> None:
    """Append three events at a time from a connection, as the release before does."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("set role es_append")
        for number in range(count):
            part = Part(streams[number % len(streams)], TENANT, 1, -1, (uuid4(), uuid4()))
            answers = await answered_by_v1(connection, [[part], [Part(uuid4(), TENANT, 1, 0, (uuid4(),))]])
            assert [answer[0] for answer in answers] == [0, 0]


async def test_writers_of_both_releases_and_an_import_share_a_lane(pair: tuple[str, str]) -> None:
    url, _ = pair
    streams = [uuid4() for _ in range(5)]

    async def given() -> AsyncIterator[StreamAppend]:
        for number in range(600):
            yield append_to(streams[number % 5], category=CATEGORIES[0])

    async with PostgresEventStore.open(url) as one, PostgresEventStore.open(url) as other:
        appends = [
            store.append(append_to(streams[number % 5], category=CATEGORIES[0]))
            for number in range(200)
            for store in (one, other)
        ]
        old = [append_by_v1(url, streams, 60) for _ in range(3)]
        importing = import_events(url, given(), events_per_chunk=50)
        await asyncio.gather(importing, *old, *appends)
        events = await read_everything(one)

    assert [each.position.number for each in events] == list(range(1, 600 + 400 + 3 * 60 * 3 + 1))
    for stream_id in streams:
        versions = [each.version for each in events if each.stream_id == stream_id]
        assert versions == list(range(1, len(versions) + 1))
    assert not (await verify_log(url)).findings
