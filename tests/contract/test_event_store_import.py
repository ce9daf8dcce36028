"""What an import promises: everything in order, once, chained, and an error that names its place."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from eventstore.appending.import_events import Imported, ImportRefused, import_events
from eventstore.audit.verify_log import verify_log
from eventstore.errors import EventIdReused, InvalidAppend, StoreUnavailable, WrongExpectedVersion
from eventstore.lanes import lane_of
from eventstore.migrate import migrate
from eventstore.postgres import PostgresEventStore
from eventstore.types import NO_STREAM, StreamAppend
from tests.fix_events import OTHER_TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from eventstore.errors import EventStoreError
    from stack.postgres import EmbeddedPostgres

pytest_plugins = ["tests.fix_postgres"]

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give an empty store."""
    async with PostgresEventStore.open(database_url) as opened:
        yield opened


async def each(appends: Iterable[StreamAppend]) -> AsyncIterator[StreamAppend]:
    """Yield appends as an import takes them."""
    for one in appends:
        yield one


def histories(streams: int, rounds: int, expected: int = NO_STREAM) -> list[StreamAppend]:
    """Return appends to streams by turns: the first to each expects it as told."""
    ids = [uuid4() for _ in range(streams)]
    first = [append_to(stream_id, 2, expected=expected) for stream_id in ids]
    return first + [append_to(stream_id) for _ in range(rounds - 1) for stream_id in ids]


async def intact(url: str) -> bool:
    """Return whether the log verifies."""
    return not (await verify_log(url)).findings


async def test_an_import_is_appended_in_its_order_and_chained(
    ledger: PostgresEventStore, database_url: str
) -> None:
    await ledger.append(append_to(count=3))
    traced = replace(event(b"\x00\xff"), correlation_id=uuid4(), causation_id=uuid4(), actor="wörker")
    appends = [*histories(40, 3), StreamAppend(uuid4(), "pröfile", OTHER_TENANT, [traced])]
    seen: list[Imported] = []

    imported = await import_events(database_url, each(appends), events_per_chunk=50, progress=seen.append)

    sent = [one for append in appends for one in append.events]
    stored = (await read_everything(ledger))[3:]
    assert [one.event_id for one in stored] == [one.event_id for one in sent]
    assert [one.payload for one in stored] == [one.payload for one in sent]
    assert [one.position.number for one in stored] == list(range(4, 4 + len(sent)))
    assert (stored[-1].correlation_id, stored[-1].causation_id) == (
        traced.correlation_id,
        traced.causation_id,
    )
    assert (stored[-1].actor, stored[-1].category, stored[-1].tenant) == ("wörker", "pröfile", OTHER_TENANT)
    assert imported == Imported(len(appends), len(sent), 0) == seen[-1]
    assert len(seen) > 2
    for append in appends[:40]:
        assert [one.version for one in await ledger.read_stream(append.stream_id)] == [1, 2, 3, 4]
    assert await intact(database_url)


async def test_streams_go_on_where_an_import_left_them(ledger: PostgresEventStore, database_url: str) -> None:
    stream_id = uuid4()
    await ledger.append(append_to(stream_id, 2))

    await import_events(database_url, each([append_to(stream_id, 3)]))
    appended = await ledger.append(append_to(stream_id, 1, expected=5))

    assert list(appended.versions) == [6]
    assert await intact(database_url)


async def test_an_import_run_twice_writes_once(ledger: PostgresEventStore, database_url: str) -> None:
    appends = histories(30, 4)
    await import_events(database_url, each(appends[:50]), events_per_chunk=20)

    imported = await import_events(database_url, each(appends), events_per_chunk=33)
    again = await import_events(database_url, each(appends))

    count = sum(len(append.events) for append in appends)
    assert (imported.events_count, imported.passed_over) == (count - 80, 80)
    assert (again.events_count, again.passed_over) == (0, count)
    assert (await ledger.head()).number == count


async def test_an_imported_append_that_is_appended_again_gets_the_first_answer(
    ledger: PostgresEventStore, database_url: str
) -> None:
    sent = append_to(count=3, expected=NO_STREAM)
    await import_events(database_url, each([append_to(), sent]))

    answer = await ledger.append(sent)

    assert (list(answer.versions), answer.position.number, answer.duplicate) == ([3], 4, True)


def _taken(known: StreamAppend) -> StreamAppend:
    return append_to(known.stream_id, expected=NO_STREAM)


def _part(known: StreamAppend) -> StreamAppend:
    return replace(known, events=known.events[:1])


def _more(known: StreamAppend) -> StreamAppend:
    return replace(known, events=[*known.events, event()])


def _elsewhere(known: StreamAppend) -> StreamAppend:
    return replace(known, stream_id=uuid4())


def _others(known: StreamAppend) -> StreamAppend:
    return append_to(known.stream_id, tenant=OTHER_TENANT)


def _odd(_: StreamAppend) -> StreamAppend:
    return append_to(category="x" * 101)


def _exact(_: StreamAppend) -> StreamAppend:
    return append_to(expected=3)


REFUSALS: Final = {
    _taken: WrongExpectedVersion,
    _part: EventIdReused,
    _more: EventIdReused,
    _elsewhere: EventIdReused,
    _others: InvalidAppend,
    _odd: InvalidAppend,
    _exact: InvalidAppend,
}


@pytest.mark.parametrize(("differ", "reason"), REFUSALS.items())
@pytest.mark.parametrize("in_file", [False, True], ids=["stored", "in the same import"])
async def test_what_does_not_fit_is_named_and_its_chunk_is_not_written(
    ledger: PostgresEventStore,
    database_url: str,
    differ: Any,
    reason: type[EventStoreError],
    *,
    in_file: bool,
) -> None:
    known = append_to(count=2)
    if not in_file:
        await ledger.append(known)
    before = [known, *(append_to() for _ in range(19))]
    after = [append_to() for _ in range(30)]

    with pytest.raises(ImportRefused) as refused:
        await import_events(database_url, each([*before, differ(known), *after]), events_per_chunk=7)

    assert refused.value.number == 21
    assert isinstance(refused.value.reason, reason)
    stored = {one.event_id for one in await read_everything(ledger)}
    assert known.events[0].event_id in stored
    assert stored.isdisjoint(one.event_id for append in after for one in append.events)
    assert await intact(database_url)


async def test_an_import_goes_on_beside_appends(ledger: PostgresEventStore, database_url: str) -> None:
    appends = histories(100, 5)
    importing = asyncio.create_task(import_events(database_url, each(appends), events_per_chunk=60))
    answers = await asyncio.gather(*(ledger.append(append_to()) for _ in range(50)))
    await importing

    assert len({answer.position for answer in answers}) == 50
    assert (await ledger.head()).number == 50 + 600
    assert await intact(database_url)


async def test_two_imports_of_the_same_histories_at_once_write_them_once(
    ledger: PostgresEventStore, database_url: str
) -> None:
    appends = histories(50, 4)

    runs = [import_events(database_url, each(appends), events_per_chunk=40) for _ in range(2)]
    first, second = await asyncio.gather(*runs)

    assert first.events_count + second.events_count == 250
    assert first.passed_over + second.passed_over == 250
    assert (await ledger.head()).number == 250
    assert await intact(database_url)


async def test_an_import_crosses_partitions(ledger: PostgresEventStore, database_url: str) -> None:
    await ledger.append(append_to(count=900))

    await import_events(database_url, each(append_to(count=500) for _ in range(9)), events_per_chunk=4_000)
    await ledger.append(append_to())

    assert (await ledger.head()).number == 5_401
    assert await intact(database_url)


async def test_each_lane_gets_what_is_its_own(postgres_cluster: EmbeddedPostgres) -> None:
    name = f"lanes_{uuid4().hex[:8]}"
    url = await postgres_cluster.create_database(name)
    await migrate(url, settings={"lanes": "3"})
    tenants = [UUID(int=number) for number in range(12)]
    appends = [append_to(count=2, tenant=tenant) for _ in range(10) for tenant in tenants]

    imported = await import_events(url, each(appends), events_per_chunk=15)
    again = await import_events(url, each(appends))

    assert (imported.events_count, again.passed_over) == (240, 240)
    async with PostgresEventStore.open(url) as store:
        for lane in range(3):
            wanted = [
                one.event_id
                for append in appends
                for one in append.events
                if lane_of(append.tenant, 3) == lane
            ]
            assert [one.event_id for one in await read_everything(store, lane)] == wanted
    assert await intact(url)
    await postgres_cluster.drop_database(name)


async def test_nothing_to_import_is_no_error(database_url: str) -> None:
    assert await import_events(database_url, each([])) == Imported()


async def test_a_table_that_somebody_put_in_its_place_is_not_trusted(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("set role es_append")
        await connection.execute("create temp view import_row as select 1 as number")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.execute("select * from es.import_v1(0::smallint)")


async def test_an_import_without_a_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await import_events(f"host={tmp_path} dbname=none user=x", each([append_to()]), patience_seconds=0.2)


def line(append: StreamAppend, **more: object) -> str:
    """Return an append of one event as a line of a file."""
    [one] = append.events
    payload = base64.b64encode(one.payload).decode()
    fields = {
        "stream_id": str(append.stream_id),
        "category": append.category,
        "tenant": str(append.tenant),
        "event_id": str(one.event_id),
        "event_type": one.event_type,
        "payload": payload,
    }
    return json.dumps({**fields, **more})


async def command(url: str, *arguments: str) -> tuple[int | None, str, str]:
    """Run `python -m eventstore import`; gives the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventstore", "import", *arguments),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


async def test_the_command_imports_a_file_and_twice_is_once(
    ledger: PostgresEventStore, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.ndjson"
    correlation_id = uuid4()
    appends = [append_to() for _ in range(12)]
    first, *others = appends
    more = {"schema_version": 3, "correlation_id": str(correlation_id), "actor": "ü", "expected": "no stream"}
    file.write_text("\n".join([line(first, **more), *(line(append) for append in others)]) + "\n")

    assert await command(database_url, str(file), "--chunk", "5") == (
        0,
        "12 events imported, 0 stood already\n",
        "",
    )
    code, said, _ = await command(database_url, str(file), "--json")

    assert (code, json.loads(said)) == (0, {"imported": 0, "passed_over": 12})
    stored = await read_everything(ledger)
    assert [one.event_id for one in stored] == [append.events[0].event_id for append in appends]
    assert (stored[0].schema_version, stored[0].correlation_id, stored[0].actor) == (3, correlation_id, "ü")


BAD_LINES: Final = {
    "{": "Expecting property name",
    "[]": "a JSON object",
    "[" * 100_000: "nested too deep",
    "{}": "category, event_id, event_type, payload, stream_id, tenant missing",
    line(append_to(), stream_id="7"): "stream_id is not a UUID",
    line(append_to(), payload="?"): "payload is not base64",
    line(append_to(), expected=4): 'expected is "any" or "no stream"',
    line(append_to(), schema_version="1"): "schema_version is not a whole number",
    line(append_to(), recorded_at="2020-01-01"): "recorded_at not understood",
    line(append_to(), event_type=""): "event_type is empty",
    line(append_to(), actor=7): "actor is not a text",
}


@pytest.mark.parametrize(("bad", "said"), BAD_LINES.items(), ids=BAD_LINES.values())
async def test_the_command_names_the_line_that_it_does_not_understand(
    database_url: str, tmp_path: Path, bad: str, said: str
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join([line(append_to()), line(append_to()), bad, line(append_to())]))

    code, _, complained = await command(database_url, str(file))

    assert code == 3
    assert complained.startswith("error: line 3: ")
    assert said in complained


async def test_the_command_names_the_line_that_does_not_fit(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    stream_id = uuid4()
    twice = [line(append_to(stream_id), expected="no stream") for _ in range(2)]
    file.write_text("\n".join([line(append_to()), *twice]))

    code, _, complained = await command(database_url, str(file))

    assert (code, complained) == (
        3,
        f"error: line 3: stream {stream_id} is at version 1, not 0; nothing was written\n",
    )
