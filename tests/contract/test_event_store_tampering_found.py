"""Whatever somebody with every right does to the log, its names or its seals is found, and where."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from psycopg import sql

from eventstore.audit.seal_archive import relative_path
from eventstore.audit.verify_log import verify_log
from tests.fix_events import append_to
from tests.fix_seals import OTHER_SIGNER, SIGNER, SealedLog, found, seal_everything, sealed_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.audit.verdict import LogVerdict

pytest_plugins = ["tests.fix_postgres"]

__all__ = ["sealed_log"]

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EVENT_COLUMNS = [
    *("position", "recorded_at", "stream_id", "event_id", "tenant", "correlation_id", "causation_id"),
    *("version", "lane", "category", "event_type", "schema_version", "hash", "trace_parent", "actor"),
    "payload",
]
SEAL_COLUMNS = [
    *("lane", "number", "from_position", "to_position", "log_id", "sealed_at", "root", "end_hash"),
    *("previous_hash", "public_key", "signature"),
]


def flipped(value: Any, bit: int) -> Any:
    """Return a value with one bit the other way; of nothing, something."""
    if value is None:
        return UUID(int=bit)
    if isinstance(value, int):
        return value ^ 1 << bit % 15
    if isinstance(value, UUID):
        return UUID(int=value.int ^ 1 << bit % 128)
    if isinstance(value, datetime):
        return EPOCH + (((value - EPOCH) // MICROSECOND) ^ 1 << bit % 52) * MICROSECOND
    if isinstance(value, str):
        return flipped(value.encode(), bit).decode() if value else chr(32 + bit % 90)
    return _flipped_bytes(value, bit) if value else bytes([bit % 256])


def _flipped_bytes(value: bytes, bit: int) -> bytes:
    place = bit % (8 * len(value))
    return (int.from_bytes(value) ^ 1 << place).to_bytes(len(value))


class Damage:
    """Changes one value in one row, lets somebody look, and puts everything back."""

    def __init__(self, log: SealedLog, table: str, key: str) -> None:
        self._log = log
        self._table = sql.Identifier("es", table)
        self._key = sql.Identifier(key)

    async def done(self, column: str, row: int, bit: int, *, outside: bool) -> LogVerdict:
        """Return what verification finds.

        Errors: psycopg.Error, UnicodeDecodeError and OverflowError when the database cannot hold that.
        """
        async with await psycopg.AsyncConnection.connect(self._log.url, autocommit=True) as connection:
            await connection.execute(
                sql.SQL("create temp table kept as select * from {}").format(self._table)
            )
            cursor = await connection.execute(
                sql.SQL("select {} from kept where {} = %s").format(sql.Identifier(column), self._key), [row]
            )
            (value,) = await cursor.fetchone() or (None,)
            try:
                await connection.execute(
                    sql.SQL("update {} set {} = %s where {} = %s").format(
                        self._table, sql.Identifier(column), self._key
                    ),
                    [flipped(value, bit), row],
                )
                return await self._log.verify(outside=outside, pinned=outside)
            finally:
                await connection.execute(sql.SQL("delete from {}").format(self._table))
                await connection.execute(sql.SQL("insert into {} select * from kept").format(self._table))


def verdict_after(damage: Damage, column: str, row: int, bit: int, *, outside: bool) -> LogVerdict:
    """Return what is found after a change, if the database can hold it."""
    try:
        return asyncio.run(damage.done(column, row, bit, outside=outside))
    except (psycopg.Error, UnicodeDecodeError, OverflowError):
        reject()


@pytest.fixture
def opened_log(sealed_log: SealedLog) -> SealedLog:
    """Give a sealed log whose triggers are out of the way."""
    asyncio.run(sealed_log.force())
    return sealed_log


WITH_FIXTURE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@WITH_FIXTURE
@given(column=st.sampled_from(EVENT_COLUMNS), row=st.integers(1, 35), bit=st.integers(0, 4_095))
@example(column="lane", row=35, bit=0)
def test_one_flipped_bit_of_any_event_is_found_at_its_position(
    opened_log: SealedLog, column: str, row: int, bit: int
) -> None:
    damage = Damage(opened_log, "event", "position")

    verdict = verdict_after(damage, column, row, bit, outside=True)

    # The last event has no seal yet: moved to another lane it is missed there where it strayed to, only.
    here = [each for each in verdict.findings if each.lane == 0] or verdict.findings
    assert here, (column, row, bit)
    assert here[0].from_position == row


@WITH_FIXTURE
@given(
    column=st.sampled_from(SEAL_COLUMNS),
    row=st.integers(1, 3),
    bit=st.integers(0, 511),
    outside=st.booleans(),
)
def test_one_flipped_bit_of_any_seal_is_found_with_or_without_the_archive(
    opened_log: SealedLog, column: str, row: int, bit: int, *, outside: bool
) -> None:
    damage = Damage(opened_log, "log_seal", "number")

    verdict = verdict_after(damage, column, row, bit, outside=outside)

    assert verdict.findings, (column, row, bit)
    assert all(each.check.value.startswith(("seal", "gap", "stray")) for each in verdict.findings)
    first = verdict.findings[0]
    assert (first.seal_number or row) in {row, row + 1}


@WITH_FIXTURE
@given(
    table=st.sampled_from(["category", "event_type"]),
    column=st.sampled_from(["id", "name"]),
    bit=st.integers(0, 63),
)
def test_one_flipped_bit_of_a_name_is_found_at_the_first_event_of_that_name(
    opened_log: SealedLog, table: str, column: str, bit: int
) -> None:
    verdict = verdict_after(Damage(opened_log, table, "id"), column, 1, bit, outside=True)

    assert found(verdict)[0] == ("hash", 1, 1, None)


async def test_another_log_s_name_is_found(sealed_log: SealedLog) -> None:
    await sealed_log.force("update es.log_identity set log_id = gen_random_uuid()")

    assert {check for check, *_ in found(await sealed_log.verify())} == {"seal_log"}


RECHAIN = """
do $$
declare
  v_previous bytea := coalesce((select hash from es.event where position = $first$ - 1),
                               decode(repeat('00', 32), 'hex'));
  v_event record;
begin
  for v_event in select e.*, c.name as c, t.name as t from es.event e join es.category c on c.id = e.category
    join es.event_type t on t.id = e.event_type where e.position >= $first$ order by e.position
  loop
    v_previous := sha256(v_previous || es.leaf_v1(v_event.position, v_event.lane, v_event.recorded_at,
      v_event.event_id, v_event.stream_id, v_event.version, v_event.schema_version, v_event.tenant,
      v_event.correlation_id, v_event.causation_id, v_event.c, v_event.t, v_event.trace_parent, v_event.actor,
      v_event.payload));
    update es.event set hash = v_previous where position = v_event.position;
  end loop;
end $$
"""


def rewritten(first: int) -> Sequence[str]:
    """Return what changes an event and makes all the hashes after it fit again."""
    lie = "update es.event set payload = 'lies' where position = $first$"
    return [each.replace("$first$", str(first)) for each in (lie, RECHAIN)]


COPY_OF_THE_LAST = """
insert into es.event select {}, recorded_at, gen_random_uuid(), gen_random_uuid(), tenant, correlation_id,
  causation_id, version, lane, category, event_type, schema_version, hash, trace_parent, actor, payload
from es.event where position = 35
"""

#: What is done; and what is found first: check, first and last position, number of the seal.
DEEDS: dict[str, tuple[Sequence[str], tuple[str, int, int, int | None]]] = {
    "a deleted row": (["delete from es.event where position = 6"], ("gap", 6, 6, None)),
    "a deleted row without a seal": (["delete from es.event where position = 34"], ("gap", 34, 34, None)),
    "two swapped rows": (
        [
            "update es.event set position = 500 where position = 7",
            "update es.event set position = 7 where position = 8",
            "update es.event set position = 8 where position = 500",
        ],
        ("hash", 7, 7, None),
    ),
    "two swapped rows on both sides of a seal's end": (
        [
            "update es.event set position = 500 where position = 20",
            "update es.event set position = 20 where position = 21",
            "update es.event set position = 21 where position = 500",
        ],
        ("hash", 20, 20, None),
    ),
    "a rewritten suffix": (rewritten(15), ("seal_root", 11, 20, 2)),
    "everything rewritten": (rewritten(1), ("seal_root", 1, 10, 1)),
    "a truncated tail": (["delete from es.event where position > 25"], ("gap", 26, 26, None)),
    "a tail truncated with its seals": (
        ["delete from es.event where position > 20", "delete from es.log_seal where number > 2"],
        ("gap", 21, 21, None),
    ),
    "everything deleted": (["delete from es.event", "delete from es.log_seal"], ("gap", 1, 1, None)),
    "a row too many": (
        [
            COPY_OF_THE_LAST.format(36),
        ],
        ("hash", 36, 36, None),
    ),
    "a row far away": (
        [
            COPY_OF_THE_LAST.format(900),
        ],
        ("gap", 36, 36, None),
    ),
    "a row in a lane that is none": (
        ["update es.event set lane = 7 where position = 35"],
        ("stray", 35, 35, None),
    ),
    "a missing seal": (["delete from es.log_seal where number = 2"], ("seal_lost", 11, 20, 2)),
    "missing seals": (["delete from es.log_seal"], ("seal_lost", 1, 10, 1)),
    "a row that is no event": (
        [
            "alter table es.event alter column actor drop not null",
            "update es.event set actor = null where position = 3",
        ],
        ("hash", 3, 3, None),
    ),
    "a hash of another length": (
        ["update es.event set hash = 'short' where position = 3"],
        ("hash", 3, 3, None),
    ),
}


@pytest.mark.parametrize("case", DEEDS.values(), ids=DEEDS.keys())
async def test_what_was_done_is_found_at_its_place(
    sealed_log: SealedLog, case: tuple[Sequence[str], tuple[str, int, int, int | None]]
) -> None:
    statements, expected = case

    await sealed_log.force(*statements)

    assert found(await sealed_log.verify())[0] == expected


@pytest.mark.parametrize("signer", [OTHER_SIGNER, SIGNER], ids=["another key", "the stolen key"])
async def test_a_whole_database_rewritten_and_sealed_anew_is_found(
    sealed_log: SealedLog, signer: object
) -> None:
    await sealed_log.force("delete from es.log_seal", *rewritten(4))
    await seal_everything(sealed_log.url, signer=signer, events_max=10)

    verdict = await sealed_log.verify()

    checks = {check for check, *_ in found(verdict)}
    # The fourth, which the archive has not, continues the forged third and not the true one.
    assert checks == {
        "seal_differs",
        "seal_root",
        "seal_chain",
        *(["seal_key"] if signer is OTHER_SIGNER else []),
    }
    assert found(verdict)[0][1:] == (1, 10, 1)


async def test_without_the_archive_another_key_is_found_by_the_pinned_one_alone(
    sealed_log: SealedLog,
) -> None:
    await sealed_log.force("delete from es.log_seal", *rewritten(4))
    await seal_everything(sealed_log.url, signer=OTHER_SIGNER, events_max=10)

    assert {check for check, *_ in found(await sealed_log.verify(outside=False))} == {"seal_key"}
    assert (await sealed_log.verify(outside=False, pinned=False)).intact


async def test_what_has_no_seal_yet_can_be_rewritten_unseen_for_a_minute(sealed_log: SealedLog) -> None:
    await sealed_log.force(*rewritten(32))

    assert (await sealed_log.verify()).intact


async def test_a_changed_archive_is_found_too(sealed_log: SealedLog) -> None:
    path = sealed_log.folder / relative_path(0, 2)
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"number": 2', '"number": 3'))

    checks = {(check, number) for check, _, _, number in found(await sealed_log.verify())}

    assert {("seal_differs", 2), ("seal_chain", 2)} <= checks


async def test_a_seal_that_the_archive_lacks_in_the_middle_is_believed_from_the_database(
    sealed_log: SealedLog,
) -> None:
    (sealed_log.folder / relative_path(0, 2)).unlink()

    assert (await sealed_log.verify()).intact


@pytest.mark.parametrize(("partition", "first"), [(1, 1), (1_001, 1_001)])
async def test_a_dropped_partition_is_found_at_its_beginning(
    sealed_log: SealedLog, partition: int, first: int
) -> None:
    for _ in range(3):
        await sealed_log.store.append(append_to(count=600))
    await seal_everything(sealed_log.url, sealed_log.archive, events_max=500)
    await sealed_log.force(f"drop table es.event_from_{partition}")

    for outside in (True, False):
        assert found(await sealed_log.verify(outside=outside))[0] == ("gap", first, first, None)


@pytest.mark.parametrize("first", [1, 15, 21, 26, 33, 500])
async def test_wherever_verification_begins_a_cut_is_found(sealed_log: SealedLog, first: int) -> None:
    await sealed_log.force(
        "delete from es.event where position > 20", "delete from es.log_seal where number > 2"
    )

    verdict = await verify_log(sealed_log.url, seals=sealed_log.archive, from_position=first)

    assert ("gap", 21, 21, None) in found(verdict)
    assert ("seal_lost", 21, 30, 3) in found(verdict)


async def test_processes_side_by_side_find_the_same(sealed_log: SealedLog) -> None:
    for _ in range(3):
        await sealed_log.store.append(append_to(count=600))
    await seal_everything(sealed_log.url, sealed_log.archive, events_max=100)
    await sealed_log.force(*rewritten(777), "delete from es.event where position = 1500")

    alone = await sealed_log.verify()

    assert (
        await verify_log(
            sealed_log.url, seals=sealed_log.archive, keys=frozenset([SIGNER.public_key]), workers=2
        )
        == alone
    )
    assert alone.first_bad is not None
    assert 677 < alone.first_bad.number <= 777
