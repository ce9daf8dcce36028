"""Log seals: whole ranges, chained, signed, kept once in the database and once outside."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from eventstore.audit import seal_table
from eventstore.audit.chain import leaf
from eventstore.audit.log_seal import NO_SEAL, LogSeal, UnreadableLogSeal, of_text, to_text
from eventstore.audit.merkle import root_of
from eventstore.audit.seal_archive import DirectorySealArchive, relative_path
from eventstore.audit.verify_log import verify_log
from eventstore.errors import LogDamaged, SealConflict
from eventstore.postgres import PostgresEventStore
from tests.fix_events import append_to, read_everything
from tests.fix_seals import OTHER_SIGNER, SIGNER, SealedLog, found, seal_everything, sealed_log, sealer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytest_plugins = ["tests.fix_postgres"]

__all__ = ["sealed_log"]

#: Of the test databases.
EVENT_PARTITION_SIZE = 1_000


#: A seal as the first release wrote it: what was signed once must verify for ever.
GOLDEN = (
    '{"log_id": "00000000-0000-0000-0000-000000000007", "lane": 0, "number": 3, "from_position": 21,'
    ' "to_position": 30, "sealed_at": "2026-11-23T13:00:00.123456+00:00",'
    f' "root": "{"01" * 32}", "end_hash": "{"02" * 32}", "previous_hash": "{"03" * 32}",'
    ' "public_key": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",'
    ' "signature": "2031a7502b30485487d1156b796115ebe972c2cef80a950041672dceae44ba6b'
    'feece5281f2fa50baba0131195070c5c16e2f5cae1be1fab3a6aadfdc6e4c900"}'
)
GOLDEN_HASH = "9c66bf983945410ea6118f26662e8fad50369fdb17813fbd3ffb1c2bc3719d7a"


async def seals_of(url: str, lane: int = 0) -> Sequence[LogSeal]:
    """Return the seals in the database."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return [each async for each in seal_table.all_seals(connection, lane)]


async def add(url: str, seal: LogSeal) -> bool:
    """Add a seal as the sealer's role does."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("set role es_seal")
        return await seal_table.add_seal(connection, seal)


@pytest_asyncio.fixture
async def empty_log(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give a store without events."""
    async with PostgresEventStore.open(database_url) as store:
        yield store


async def test_seals_are_gapless_chained_and_signed(sealed_log: SealedLog) -> None:
    seals = await seals_of(sealed_log.url)

    assert [(each.number, each.from_position, each.to_position) for each in seals] == [
        (1, 1, 10),
        (2, 11, 20),
        (3, 21, 30),
    ]
    assert [each.previous_hash for each in seals] == [NO_SEAL, seals[0].hash, seals[1].hash]
    assert all(each.is_signed() and each.public_key == SIGNER.public_key for each in seals)
    assert len({each.log_id for each in seals}) == 1


async def test_a_seal_is_over_the_events_of_its_range(sealed_log: SealedLog) -> None:
    events = await read_everything(sealed_log.store)
    for seal in await seals_of(sealed_log.url):
        covered = events[seal.from_position - 1 : seal.to_position]
        assert seal.root == root_of(leaf(event) for event in covered)
        assert seal.end_hash == covered[-1].hash
        assert seal.sealed_at >= covered[-1].recorded_at


async def test_database_and_code_agree_on_the_hash_of_a_seal(sealed_log: SealedLog) -> None:
    async with await psycopg.AsyncConnection.connect(sealed_log.url) as connection:
        cursor = await connection.execute("select es.log_seal_hash_v1(s) from es.log_seal s order by number")
        hashes = [row[0] for row in await cursor.fetchall()]

    assert hashes == [each.hash for each in await seals_of(sealed_log.url)]


async def test_a_sealed_log_verifies_and_so_does_what_has_no_seal_yet(sealed_log: SealedLog) -> None:
    verdict = await sealed_log.verify()

    assert verdict.intact
    assert (verdict.events_count, verdict.seals_count) == (35, 3)
    assert (verdict.heads, verdict.sealed) == ({0: 35}, {0: 30})
    assert verdict.keys == {SIGNER.public_key}
    assert verdict.end_recorded_at == (await read_everything(sealed_log.store))[-1].recorded_at


async def test_verification_in_processes_side_by_side_says_the_same(sealed_log: SealedLog) -> None:
    progress: list[tuple[int, int]] = []

    verdict = await verify_log(
        sealed_log.url,
        seals=sealed_log.archive,
        workers=2,
        on_progress=lambda each: progress.append((each.events_done, each.events_total)),
    )

    assert verdict == await sealed_log.verify()
    assert progress[-1] == (35, 35)


@pytest.mark.parametrize(
    ("first", "events", "seals"), [(1, 35, 3), (15, 25, 2), (21, 15, 1), (33, 3, 0), (99, 0, 0)]
)
async def test_verification_can_begin_anywhere(
    sealed_log: SealedLog, first: int, events: int, seals: int
) -> None:
    verdict = await verify_log(sealed_log.url, seals=sealed_log.archive, from_position=first)

    assert (verdict.intact, verdict.events_count, verdict.seals_count) == (True, events, seals)


async def test_nothing_is_sealed_before_its_time(empty_log: PostgresEventStore, database_url: str) -> None:
    async with sealer(database_url, interval_seconds=3_600, events_max=10) as made:
        assert not await made.run_once()
        await empty_log.append(append_to(count=9))
        assert not await made.run_once()
        await empty_log.append(append_to(count=3))
        assert await made.run_once()
        assert not await made.run_once()

    assert [each.to_position for each in await seals_of(database_url)] == [10]


async def test_no_seal_spans_partitions(empty_log: PostgresEventStore, database_url: str) -> None:
    for _ in range(3):
        await empty_log.append(append_to(count=600))

    await seal_everything(database_url, events_max=700)

    ends = [each.to_position for each in await seals_of(database_url)]
    assert ends == [700, EVENT_PARTITION_SIZE, 1_700, 1_800]
    assert (await verify_log(database_url)).intact


async def test_a_full_partition_is_sealed_at_once(empty_log: PostgresEventStore, database_url: str) -> None:
    await empty_log.append(append_to(count=999))
    await empty_log.append(append_to(count=2))

    await seal_everything(database_url, events_max=5_000, interval_seconds=3_600)

    assert [each.to_position for each in await seals_of(database_url)] == [EVENT_PARTITION_SIZE]


async def test_two_sealers_at_once_do_no_harm(sealed_log: SealedLog) -> None:
    for _ in range(5):
        await sealed_log.store.append(append_to(count=10))
    async with (
        sealer(sealed_log.url, sealed_log.archive) as one,
        sealer(sealed_log.url, sealed_log.archive) as two,
    ):
        while any(await asyncio.gather(one.run_once(), two.run_once())):
            pass

    verdict = await sealed_log.verify()
    assert (verdict.intact, verdict.sealed) == (True, {0: 85})


WRONG: dict[str, dict[str, Any]] = {
    "number": {"number": 5},
    "hole": {"from_position": 32},
    "overlap": {"from_position": 30},
    "previous seal": {"previous_hash": bytes(32)},
    "end": {"end_hash": bytes(32)},
    "event that is not there": {"to_position": 36},
    "partition's end": {"to_position": 1_000},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
async def test_a_seal_that_does_not_continue_the_last_is_refused(
    sealed_log: SealedLog, change: dict[str, Any]
) -> None:
    good = await following(sealed_log)
    changed = replace(good, **change)

    with pytest.raises(psycopg.errors.IntegrityError):
        await add(sealed_log.url, changed)

    assert await add(sealed_log.url, good)
    assert not await add(sealed_log.url, good)


async def test_a_seal_of_another_log_or_from_the_future_is_refused(sealed_log: SealedLog) -> None:
    good = await following(sealed_log)
    for changed in (
        replace(good, log_id=UUID(int=1)),
        replace(good, sealed_at=good.sealed_at + timedelta(hours=1)),
        replace(good, sealed_at=good.sealed_at - timedelta(hours=1)),
    ):
        with pytest.raises(psycopg.errors.IntegrityError):
            await add(sealed_log.url, changed)


async def following(log: SealedLog) -> LogSeal:
    """Return a seal that could follow the last one."""
    last = (await seals_of(log.url))[-1]
    events = await read_everything(log.store)
    bare = replace(
        last,
        number=4,
        from_position=31,
        to_position=35,
        root=root_of(leaf(event) for event in events[30:]),
        end_hash=events[-1].hash,
        previous_hash=last.hash,
    )
    return replace(bare, signature=await SIGNER.sign(bare.statement))


@pytest.mark.parametrize("role", ["es_append", "es_read_all", "es_seal", "es_project"])
async def test_nobody_writes_seals_but_through_the_function(sealed_log: SealedLog, role: str) -> None:
    async with await psycopg.AsyncConnection.connect(sealed_log.url, autocommit=True) as connection:
        await connection.execute("select set_config('role', %s, false)", [role])
        for statement in (
            "insert into es.log_seal select * from es.log_seal",
            "update es.log_seal set number = 9",
            "delete from es.log_seal",
            "truncate es.log_seal",
            "update es.log_identity set log_id = gen_random_uuid()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())


@pytest.mark.parametrize("statement", ["update es.log_seal set lane = lane", "delete from es.log_identity"])
async def test_seals_cannot_be_changed_even_by_their_owner(sealed_log: SealedLog, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(sealed_log.url, autocommit=True) as connection:
        await connection.execute("set session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            await connection.execute(statement.encode())


async def test_a_damaged_log_is_not_sealed_any_further(sealed_log: SealedLog) -> None:
    await sealed_log.force("update es.event_from_1 set payload = 'x' where position = 33")

    with pytest.raises(LogDamaged, match="lane 0 is damaged at position 33: hash"):
        await seal_everything(sealed_log.url, sealed_log.archive)

    assert len(await seals_of(sealed_log.url)) == 3


async def test_history_rewritten_before_the_last_seal_stops_the_sealer(sealed_log: SealedLog) -> None:
    await sealed_log.force("update es.event_from_1 set hash = sha256(hash) where position = 31")

    with pytest.raises(LogDamaged, match="position 31"):
        await seal_everything(sealed_log.url, sealed_log.archive)


class TestArchive:
    """What is kept outside is written once."""

    async def test_every_seal_lies_there_read_only(self, sealed_log: SealedLog) -> None:
        seals = await seals_of(sealed_log.url)

        assert await sealed_log.archive.last_number(0) == 3
        assert await sealed_log.archive.read(0, [1, 2, 3, 4]) == [*seals, None]
        path = sealed_log.folder / relative_path(0, 2)
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        assert sorted(each.name for each in path.parent.iterdir()) == [
            f"{number:012}.json" for number in (1, 2, 3)
        ]

    async def test_a_seal_is_never_replaced(self, sealed_log: SealedLog) -> None:
        first = (await seals_of(sealed_log.url))[0]
        await sealed_log.archive.add(first)

        with pytest.raises(SealConflict, match="another log seal"):
            await sealed_log.archive.add(replace(first, root=bytes(32)))

        assert await sealed_log.archive.read(0, [1]) == [first]

    async def test_what_is_no_seal_is_said_to_be_none(self, sealed_log: SealedLog) -> None:
        path = sealed_log.folder / relative_path(0, 2)
        path.chmod(0o600)
        path.write_text("{}")

        with pytest.raises(SealConflict, match="no log seal"):
            await sealed_log.verify()

    async def test_what_a_crash_kept_from_the_archive_is_brought_there_later(
        self, sealed_log: SealedLog, tmp_path: Path
    ) -> None:
        late = DirectorySealArchive(tmp_path / "late")

        await seal_everything(sealed_log.url, late)

        assert await late.read(0, [1, 2, 3, 4]) == await seals_of(sealed_log.url)

    async def test_an_archive_that_knows_more_than_the_database_stops_the_sealer(
        self, sealed_log: SealedLog
    ) -> None:
        await sealed_log.force("delete from es.log_seal where number = 3")

        with pytest.raises(SealConflict, match="the archive holds 3 log seals, the database fewer"):
            await seal_everything(sealed_log.url, sealed_log.archive)

    async def test_an_archive_whose_last_seal_differs_stops_the_sealer(self, sealed_log: SealedLog) -> None:
        await sealed_log.force("update es.log_seal set root = sha256(root) where number = 3")

        with pytest.raises(SealConflict, match="another log seal"):
            await seal_everything(sealed_log.url, sealed_log.archive)

    async def test_seals_exchanged_while_the_sealer_runs_stop_it(self, sealed_log: SealedLog) -> None:
        async with sealer(sealed_log.url, sealed_log.archive) as made:
            assert await made.run_once()
            await sealed_log.force("update es.log_seal set sealed_at = sealed_at - interval '1 second'")
            await sealed_log.store.append(append_to(count=20))

            with pytest.raises(SealConflict, match="another log seal 4"):
                await made.run_once()

        assert len(await seals_of(sealed_log.url)) == 4

    async def test_while_the_archive_is_away_the_database_gets_its_seals(
        self, sealed_log: SealedLog, tmp_path: Path
    ) -> None:
        blocked = tmp_path / "blocked"
        blocked.write_text("a file")
        async with sealer(sealed_log.url, DirectorySealArchive(blocked)) as made:
            with pytest.raises(OSError, match="blocked"):
                await made.run_once()
            assert [each.to_position for each in await seals_of(sealed_log.url)] == [10, 20, 30, 35]

            blocked.unlink()
            assert not await made.run_once()
            assert await DirectorySealArchive(blocked).last_number(0) == 4

    async def test_a_folder_that_cannot_be_written_is_an_error_and_no_seal_is_lost(
        self, sealed_log: SealedLog, tmp_path: Path
    ) -> None:
        blocked = tmp_path / "blocked"
        blocked.write_text("a file")

        with pytest.raises(OSError, match="blocked"):
            await seal_everything(sealed_log.url, DirectorySealArchive(blocked))


async def test_a_seal_signed_by_another_key_is_named_when_keys_are_pinned(sealed_log: SealedLog) -> None:
    await seal_everything(sealed_log.url, sealed_log.archive, signer=OTHER_SIGNER)

    assert found(await sealed_log.verify()) == [("seal_key", 31, 35, 4)]
    assert (await sealed_log.verify(pinned=False)).intact


def test_bytes_cannot_move_from_one_field_of_a_seal_to_the_next() -> None:
    seal = of_text(GOLDEN)
    moved = replace(seal, root=seal.root + seal.end_hash[:1], end_hash=seal.end_hash[1:])

    assert moved.statement == seal.statement
    assert not moved.is_signed()
    with pytest.raises(UnreadableLogSeal):
        of_text(to_text(moved))


def test_the_signed_bytes_are_those_of_the_first_release() -> None:
    seal = of_text(GOLDEN)

    assert seal.hash.hex() == GOLDEN_HASH
    assert seal.is_signed()
    assert to_text(seal) == GOLDEN + "\n"


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"log_id": 1}', "5eal" * 4])
def test_what_is_no_seal_cannot_be_read(text: str) -> None:
    with pytest.raises(UnreadableLogSeal):
        of_text(text)
