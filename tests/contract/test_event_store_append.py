"""What every event store promises about appending, proven of the one in memory and the one on Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from eventstore.audit.chain import GENESIS, link
from eventstore.errors import EventIdReused, InvalidAppend, WrongExpectedVersion
from eventstore.types import NO_STREAM, PAYLOAD_BYTES_MAX, Position, StreamAppend
from tests.fix_events import OTHER_TENANT, TENANT, append_to, event, read_everything

if TYPE_CHECKING:
    from eventstore.store import EventStore
    from eventstore.types import NewEvent

pytest_plugins = ["tests.fix_postgres"]


async def test_the_first_append_gets_version_and_position_one(store: EventStore) -> None:
    appended = await store.append(append_to(count=1, expected=NO_STREAM))

    assert list(appended.versions) == [1]
    assert appended.position == Position(0, 1)
    assert not appended.duplicate


async def test_what_was_appended_is_read_back_whole(store: EventStore) -> None:
    sent = replace(
        event(b"\x00payload\xff", "test.v1.Ünïcode"),
        schema_version=7,
        correlation_id=uuid4(),
        causation_id=uuid4(),
        trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        actor="wörker/1",
    )
    stream_id = uuid4()

    appended = await store.append(StreamAppend(stream_id, "profile", TENANT, [sent]))
    [stored] = await store.read_stream(stream_id)

    assert stored.position == appended.position
    assert stored.recorded_at == appended.recorded_at
    assert (stored.stream_id, stored.category, stored.version, stored.tenant) == (
        stream_id,
        "profile",
        1,
        TENANT,
    )
    for name in ("event_id", "event_type", "payload", "schema_version", "correlation_id", "causation_id"):
        assert getattr(stored, name) == getattr(sent, name)
    assert (stored.trace_parent, stored.actor) == (sent.trace_parent, sent.actor)


async def test_versions_and_positions_have_no_gaps(store: EventStore) -> None:
    stream_id = uuid4()
    for count in (1, 3, 2):
        await store.append(append_to(stream_id, count))
        await store.append(append_to(count=count))

    events = await read_everything(store)

    assert [each.position.number for each in events] == list(range(1, 13))
    assert [each.version for each in events if each.stream_id == stream_id] == list(range(1, 7))


async def test_a_wrong_expected_version_writes_nothing_and_says_what_it_found(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id, 2))

    with pytest.raises(WrongExpectedVersion) as refused:
        await store.append(append_to(stream_id, expected=1))

    assert (refused.value.stream_id, refused.value.expected, refused.value.found) == (stream_id, 1, 2)
    assert await store.head() == Position(0, 2)


async def test_expecting_no_stream_fails_when_there_is_one(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id, expected=NO_STREAM))

    with pytest.raises(WrongExpectedVersion, match="version 1, not 0"):
        await store.append(append_to(stream_id, expected=NO_STREAM))


async def test_several_streams_are_appended_atomically(store: EventStore) -> None:
    first, second = uuid4(), uuid4()

    appended = await store.append(append_to(first, 2), append_to(second, 3, expected=NO_STREAM))

    assert list(appended.versions) == [2, 3]
    assert appended.position.number == 5
    with pytest.raises(WrongExpectedVersion) as refused:
        await store.append(append_to(first, 1, expected=2), append_to(second, 1, expected=2))
    assert refused.value.stream_id == second
    assert len(await store.read_stream(first)) == 2


async def test_appends_sent_again_get_the_first_answer(store: EventStore) -> None:
    first, second = uuid4(), uuid4()
    sent = (append_to(first, 2, expected=NO_STREAM), append_to(second, 1))

    answer = await store.append(*sent)
    await store.append(append_to(first, 1))
    again = await store.append(*sent)

    assert again == replace(answer, duplicate=True)
    assert (await store.head()).number == 4


async def test_one_of_two_equal_appends_sent_at_once_is_a_duplicate(store: EventStore) -> None:
    sent = append_to(count=3, expected=NO_STREAM)

    answers = await asyncio.gather(*(store.append(sent) for _ in range(5)))

    assert sorted(each.duplicate for each in answers) == [False, True, True, True, True]
    assert len({each.position for each in answers}) == 1
    assert (await store.head()).number == 3


def _part(sent: StreamAppend) -> StreamAppend:
    return replace(sent, events=sent.events[:1])


def _more(sent: StreamAppend) -> StreamAppend:
    return replace(sent, events=[*sent.events, event()])


def _turned(sent: StreamAppend) -> StreamAppend:
    return replace(sent, events=sent.events[::-1])


def _elsewhere(sent: StreamAppend) -> StreamAppend:
    return replace(sent, stream_id=uuid4())


@pytest.mark.parametrize("differ", [_part, _more, _turned, _elsewhere])
async def test_event_ids_in_another_append_are_refused(store: EventStore, differ: object) -> None:
    sent = append_to(count=2)
    await store.append(sent)

    with pytest.raises(EventIdReused):
        await store.append(differ(sent))  # type: ignore[operator]

    assert (await store.head()).number == 2


async def test_a_stream_belongs_to_one_tenant_and_category(store: EventStore) -> None:
    stream_id = uuid4()
    await store.append(append_to(stream_id))

    with pytest.raises(InvalidAppend):
        await store.append(append_to(stream_id, tenant=OTHER_TENANT))
    with pytest.raises(InvalidAppend):
        await store.append(append_to(stream_id, category="profile"))

    assert (await store.head()).number == 1


BAD_EVENTS = {
    "no type": replace(event(), event_type=""),
    "long type": replace(event(), event_type="x" * 101),
    "nul in type": replace(event(), event_type="a\x00b"),
    "lone surrogate": replace(event(), actor="\ud800"),
    "long actor": replace(event(), actor="x" * 201),
    "big payload": event(bytes(PAYLOAD_BYTES_MAX + 1)),
    "schema version 0": replace(event(), schema_version=0),
    "schema version 40000": replace(event(), schema_version=40_000),
}


@pytest.mark.parametrize("bad", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
async def test_a_bad_event_is_refused_and_harms_nobody_else(store: EventStore, bad: NewEvent) -> None:
    good = [append_to() for _ in range(3)]
    wrong = StreamAppend(uuid4(), "job", TENANT, [event(), bad])

    *answers, refusal = await asyncio.gather(
        *(store.append(each) for each in good), store.append(wrong), return_exceptions=True
    )

    assert isinstance(refusal, InvalidAppend)
    assert not any(isinstance(each, BaseException) for each in answers)
    assert (await store.head()).number == 3


async def test_appends_without_events_or_with_too_much_are_refused(store: EventStore) -> None:
    stream_id, once = uuid4(), event()
    twice = StreamAppend(stream_id, "job", TENANT, [once, once])
    big = [event(bytes(PAYLOAD_BYTES_MAX)) for _ in range(17)]
    for bad in (
        (),
        (append_to(count=0),),
        (append_to(count=1_001),),
        (append_to(stream_id), append_to(stream_id)),
        (twice,),
        (StreamAppend(stream_id, "job", TENANT, big),),
        (append_to(expected=-2),),
        (append_to(expected=2**31),),
        (append_to(category=""),),
        tuple(append_to() for _ in range(65)),
    ):
        with pytest.raises(InvalidAppend):
            await store.append(*bad)
    assert (await store.head()).number == 0


async def test_the_largest_append_is_taken(store: EventStore) -> None:
    streams = [append_to(count=15) for _ in range(63)]
    big = [event(bytes(PAYLOAD_BYTES_MAX))] + [event() for _ in range(54)]

    appended = await store.append(*streams, StreamAppend(uuid4(), "job", TENANT, big))

    assert appended.position.number == 1_000
    assert list(appended.versions) == [15] * 63 + [55]


async def test_a_conflict_among_concurrent_appends_fails_alone(store: EventStore) -> None:
    stream_id = uuid4()
    others = [append_to() for _ in range(10)]
    rivals = [append_to(stream_id, expected=NO_STREAM) for _ in range(10)]
    mixed = [each for pair in zip(others, rivals, strict=True) for each in pair]

    answers = await asyncio.gather(*(store.append(each) for each in mixed), return_exceptions=True)

    refused = [each for each in answers if isinstance(each, WrongExpectedVersion)]
    assert len(refused) == 9
    assert {each.found for each in refused} == {1}
    assert (await store.head()).number == 11


async def test_concurrent_appends_to_one_stream_are_chained(store: EventStore) -> None:
    stream_id = uuid4()

    answers = await asyncio.gather(*(store.append(append_to(stream_id, 2)) for _ in range(20)))

    assert sorted(each.versions[0] for each in answers) == list(range(2, 41, 2))
    assert [each.version for each in await store.read_stream(stream_id)] == list(range(1, 41))


async def test_expected_versions_chain_through_concurrent_appends(store: EventStore) -> None:
    stream_id = uuid4()

    answers = await asyncio.gather(
        *(store.append(append_to(stream_id, expected=version)) for version in range(20))
    )

    assert [each.versions[0] for each in answers] == list(range(1, 21))


async def test_the_chain_of_hashes_fits_what_is_read(store: EventStore) -> None:
    await asyncio.gather(*(store.append(append_to(count=3), append_to(count=1)) for _ in range(5)))
    traced = replace(event(), correlation_id=uuid4(), actor="ü", trace_parent="00-x")
    await store.append(StreamAppend(uuid4(), "pröfile", OTHER_TENANT, [traced]))

    previous = GENESIS
    for each in await read_everything(store):
        previous = link(previous, each)
        assert each.hash == previous


async def test_time_never_runs_backwards(store: EventStore) -> None:
    for _ in range(10):
        await store.append(append_to())

    times = [each.recorded_at for each in await read_everything(store)]

    assert times == sorted(times)


async def test_lone_rivals_for_a_version_have_one_winner(store: EventStore) -> None:
    stream_id = uuid4()
    for version in range(5):
        answers = await asyncio.gather(
            *(store.append(append_to(stream_id, expected=version)) for _ in range(8)), return_exceptions=True
        )
        assert sum(not isinstance(each, BaseException) for each in answers) == 1
