"""A line that breaks at the worst moment: the append is written and its answer lost, or never arrived."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from eventstore import wire
from eventstore.audit.verify import verify
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, StreamAppend
from tests.fix_events import TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    import pytest

pytest_plugins = ["tests.fix_postgres"]


class Loss(Enum):
    """What the line loses before it breaks."""

    REQUEST = "request"
    ANSWER = "answer"
    #: Nothing comes back, and nobody says so.
    SILENCE = "silence"


class Line:
    """A proxy in front of Postgres' socket that can lose what an append says, or is told."""

    def __init__(self, target: str) -> None:
        self.lost_count = 0
        self.heard_enough = asyncio.Event()
        self._target = target
        self._planned: list[Loss] = []

    def lose(self, *losses: Loss) -> None:
        """Break at the next appends, once for each loss."""
        self._planned += losses

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until one end is closed, or the line breaks."""
        upstream, downstream = await asyncio.open_unix_connection(self._target)
        answering = asyncio.create_task(self._relay(upstream, writer))
        appending = False
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                # The statement's text names it; what follows on this connection are appends too.
                appending = appending or b"es.append_" in data
                if appending and self._planned:
                    await self._break(self._planned.pop(0), data, answering, upstream, downstream)
                    break
                downstream.write(data)
                await downstream.drain()
        await _cancelled(answering)
        for each in (writer, downstream):
            each.close()

    async def _break(
        self,
        loss: Loss,
        data: bytes,
        answering: asyncio.Task[None],
        upstream: asyncio.StreamReader,
        downstream: asyncio.StreamWriter,
    ) -> None:
        self.lost_count += 1
        await _cancelled(answering)
        if loss is Loss.ANSWER:
            downstream.write(data)
            await downstream.drain()
            await upstream.read(1 << 20)
        if loss is Loss.SILENCE:
            await self.heard_enough.wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                writer.write(data)
                await writer.drain()
        writer.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@asynccontextmanager
async def proxied(url: str, folder: Path) -> AsyncGenerator[tuple[Line, str]]:
    """Run the line in front of a database; gives it and the address that leads through it."""
    socket_name = ".s.PGSQL.5432"
    line = Line(f"{conninfo_to_dict(url)['host']}/{socket_name}")
    server = await asyncio.start_unix_server(line.accept, folder / socket_name)
    async with server:
        yield line, make_conninfo(url, host=str(folder))


@pytest_asyncio.fixture
async def line_and_url(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Line, str]]:
    """Give a line to a database of the test's own."""
    async with proxied(database_url, tmp_path) as made:
        yield made


async def test_an_append_whose_answer_was_lost_is_not_doubled(line_and_url: tuple[Line, str]) -> None:
    line, url = line_and_url
    stream_id = uuid4()
    async with asyncio.timeout(20), PostgresEventStore.open(url) as store:
        await store.append(append_to())
        line.lose(Loss.ANSWER)

        answer = await store.append(append_to(stream_id, 2, expected=NO_STREAM))

        assert line.lost_count == 1
        assert (list(answer.versions), answer.position.number, answer.duplicate) == ([2], 3, False)
        assert len(await read_everything(store)) == 3


async def test_an_append_of_before_is_a_duplicate_though_its_second_answer_was_lost(
    line_and_url: tuple[Line, str],
) -> None:
    line, url = line_and_url
    sent = append_to(count=2, expected=NO_STREAM)
    async with asyncio.timeout(20), PostgresEventStore.open(url) as store:
        first = await store.append(sent)
        line.lose(Loss.ANSWER)

        again = await store.append(sent)

        assert line.lost_count == 1
        assert again == replace(first, duplicate=True)


async def test_an_append_that_never_arrived_is_sent_again(line_and_url: tuple[Line, str]) -> None:
    line, url = line_and_url
    async with asyncio.timeout(20), PostgresEventStore.open(url) as store:
        await store.append(append_to())
        line.lose(Loss.REQUEST, Loss.REQUEST)

        answer = await store.append(append_to(expected=NO_STREAM))

        assert line.lost_count == 2
        assert (list(answer.versions), answer.position.number, answer.duplicate) == ([1], 2, False)


async def test_a_line_that_swallows_everything_is_given_up(
    line_and_url: tuple[Line, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, url = line_and_url
    monkeypatch.setattr(wire, "CALL_SECONDS_MAX", 0.3)
    async with asyncio.timeout(20), PostgresEventStore.open(url) as store:
        await store.append(append_to())
        line.lose(Loss.SILENCE)

        answer = await store.append(append_to(expected=NO_STREAM))

        assert line.lost_count == 1
        assert (answer.position.number, answer.duplicate) == (2, False)
        line.heard_enough.set()


async def test_a_connection_that_was_ended_while_idle_is_made_anew(database_url: str) -> None:
    async with asyncio.timeout(20), PostgresEventStore.open(database_url) as store:
        await store.append(append_to())
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            ended = await connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'eventstore append 0' and datname = current_database()"
            )
            assert await ended.fetchall() == [(True,)]

        answers = await asyncio.gather(*(store.append(append_to()) for _ in range(3)))

        assert [each.position.number for each in answers] == [2, 3, 4]
        assert not any(each.duplicate for each in answers)


async def test_big_appends_flow_both_ways_at_once(database_url: str) -> None:
    big = [StreamAppend(uuid4(), "job", TENANT, [event(bytes(900_000))]) for _ in range(70)]
    async with asyncio.timeout(60), PostgresEventStore.open(database_url) as store:
        answers = await asyncio.gather(*(store.append(each) for each in big))

    assert [each.position.number for each in answers] == list(range(1, 71))


async def test_many_callers_over_a_bad_line_get_each_event_in_once(line_and_url: tuple[Line, str]) -> None:
    line, url = line_and_url
    async with asyncio.timeout(40), PostgresEventStore.open(url, patience_seconds=30) as store:
        await store.append(append_to())

        async def write() -> int:
            positions = [(await store.append(append_to())).position.number for _ in range(20)]
            assert positions == sorted(set(positions))
            return len(positions)

        for _ in range(4):
            line.lose(Loss.ANSWER, Loss.REQUEST, Loss.ANSWER)
            assert await asyncio.gather(*(write() for _ in range(8))) == [20] * 8

        events = await read_everything(store)
        assert line.lost_count == 12
        assert len(events) == len({each.event_id for each in events}) == 641
        assert (await verify(store)).defect is None
