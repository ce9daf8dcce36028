"""What auditors do from the command line: verify, seal, prove, export; and that their reads are recorded."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from directorybolt.event.v1 import system_events_pb2

from eventstore.__main__ import cli
from eventstore.audit import standalone
from eventstore.audit.log_seal import to_text
from eventstore.audit.read_record import READS_CATEGORY, READS_STREAM, ReadRecord
from eventstore.audit.seal_archive import relative_path
from eventstore.types import NewEvent, StreamAppend
from services.domain import events, identity
from tests.fix_events import TENANT
from tests.fix_seals import OTHER_SIGNER, SIGNER, SealedLog, sealed_log

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytest_plugins = ["tests.fix_postgres"]

__all__ = ["sealed_log"]

JOB = UUID(int=78)


async def call(log: SealedLog, *arguments: object) -> Result:
    """Call the command."""
    environment = {"DATABASE_URL": log.url, "USER": "auditor", "LOGNAME": "auditor"}
    given = [str(each) for each in arguments]
    return await asyncio.to_thread(CliRunner().invoke, cli, given, env=environment)


async def printed(log: SealedLog, *arguments: object) -> Any:
    """Return what the command prints as JSON."""
    return json.loads((await call(log, *arguments, "--json")).stdout)


class TestVerify:
    """`verify` says whether the log is what it was."""

    async def test_a_whole_log_is_whole(self, sealed_log: SealedLog) -> None:
        key = SIGNER.public_key.hex()
        said = await call(
            sealed_log, "verify", "--seals", sealed_log.folder, "--public-key", key, "--workers", 2
        )

        assert (said.exit_code, "the log is whole" in said.output) == (0, True)
        assert "35 events, 3 log seals" in said.output
        assert "lane 0: up to position 35, sealed up to 30" in said.output

    async def test_what_is_wrong_is_named_and_ends_with_1(self, sealed_log: SealedLog) -> None:
        await sealed_log.force("update es.event_from_1 set actor = 'x' where position = 33")

        said = await call(sealed_log, "verify", "--workers", 0)
        fields = await printed(sealed_log, "verify", "--workers", 0)

        assert said.exit_code == 1
        assert "hash: lane 0, position 33: the event is not the one that was appended here" in said.output
        assert (fields["intact"], fields["findings"][0]["from_position"]) == (False, 33)

    async def test_beginning_later_looks_at_less(self, sealed_log: SealedLog) -> None:
        fields = await printed(sealed_log, "verify", "--workers", 0, "--from-position", 25)

        assert (fields["events_count"], fields["seals_count"]) == (15, 1)

    async def test_a_key_in_a_file_is_pinned(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(OTHER_SIGNER.public_key.hex() + "\n")

        fields = await printed(sealed_log, "verify", "--workers", 0, "--public-key", tmp_path / "key")

        assert {each["check"] for each in fields["findings"]} == {"seal_key"}

    async def test_what_is_no_key_is_refused(self, sealed_log: SealedLog) -> None:
        assert (await call(sealed_log, "verify", "--public-key", "abc")).exit_code == 2


class TestLogSeals:
    """`log-seals` makes seals, shows them, and prints the key."""

    async def test_what_has_no_seal_is_sealed_now(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        key, seals = tmp_path / "keys" / "seal", tmp_path / "elsewhere"

        said = await call(sealed_log, "log-seals", "make", "--key", key, "--seals", seals)

        assert (said.exit_code, said.stdout) == (0, "made 1 log seals\n")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(list(seals.rglob("*.json"))) == 4
        listed = await printed(sealed_log, "log-seals", "list", "--after", 2)
        assert [each["to_position"] for each in listed] == [30, 35]
        public = (await call(sealed_log, "log-seals", "public-key", "--key", key)).output.strip()
        assert public in (seals / relative_path(0, 4)).read_text()

    async def test_a_file_that_holds_no_key_is_refused(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hello")

        assert (await call(sealed_log, "log-seals", "public-key", "--key", tmp_path / "key")).exit_code == 2


class TestExport:
    """`export` and `prove` write bundles, after they have recorded it."""

    async def test_an_export_is_proven_and_recorded(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        said = await call(sealed_log, "export", "--to-position", 20, tmp_path / "b.tar")

        assert said.exit_code == 0, said.output
        assert said.stdout.startswith("20 events under 2 log seals written to")
        assert standalone.main([str(tmp_path / "b.tar")]) == standalone.PROVEN
        (read,) = await sealed_log.store.read_stream(READS_STREAM)
        assert events.read(read) == system_events_pb2.AuditLogRead(
            reader="os:auditor", method="export", scope="positions 1 to 20", events_count=20
        )
        assert (read.actor, read.category, read.tenant) == ("os:auditor", events.AUDIT, identity.TENANT_ZERO)

    async def test_a_tenant_s_export_has_its_events(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        said = await call(sealed_log, "export", "--tenant", TENANT, tmp_path / "b")

        assert said.stdout.splitlines()[1] == "5 of them have no log seal yet"
        assert standalone.main([str(tmp_path / "b")]) == standalone.UNSEALED

    @pytest.mark.parametrize("by", ["event", "stream", "job"])
    async def test_one_thing_is_proven(self, sealed_log: SealedLog, tmp_path: Path, by: str) -> None:
        event = NewEvent("test.v1.Happened", b"x", correlation_id=JOB)
        await sealed_log.store.append(StreamAppend(JOB, "job", TENANT, [event]))
        await call(sealed_log, "log-seals", "make", "--key", tmp_path / "key")
        asked = event.event_id if by == "event" else JOB

        said = await call(sealed_log, "prove", f"--{by}", asked, tmp_path / "b")

        assert said.stdout.startswith("1 events under 1 log seals")
        assert standalone.main([str(tmp_path / "b")]) == standalone.PROVEN
        (read,) = await sealed_log.store.read_stream(READS_STREAM)
        assert b"prove" in read.payload

    @pytest.mark.parametrize("arguments", [[], ["--event", uuid4(), "--stream", uuid4()]])
    async def test_exactly_one_thing_is_proven_at_a_time(
        self, sealed_log: SealedLog, tmp_path: Path, arguments: list[object]
    ) -> None:
        assert (await call(sealed_log, "prove", *arguments, tmp_path / "b")).exit_code == 2

    async def test_nothing_is_replaced(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        said = await call(sealed_log, "export", tmp_path)

        assert (said.exit_code, "a bundle replaces nothing" in said.output) == (3, True)

    async def test_what_cannot_be_recorded_is_not_given_out(
        self, sealed_log: SealedLog, tmp_path: Path
    ) -> None:
        await sealed_log.force("revoke execute on all functions in schema es from es_append")
        (tmp_path / "out").mkdir()

        said = await call(sealed_log, "export", tmp_path / "out" / "b")

        assert said.exit_code == 3
        assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 127, 128, 300, 2**40])
def test_the_record_is_the_contract_s_message(count: int) -> None:
    message = system_events_pb2.AuditLogRead(
        reader="os:zoë", method="export", scope="x" * 200, events_count=count
    )

    assert ReadRecord("os:zoë", "export", "x" * 200, count).payload() == message.SerializeToString()
    assert READS_CATEGORY == events.AUDIT


async def test_a_seal_reads_the_same_in_the_list_as_in_its_file(sealed_log: SealedLog) -> None:
    (first, *_) = await printed(sealed_log, "log-seals", "list")
    (kept,) = await sealed_log.archive.read(0, [1])

    assert kept is not None
    assert (first["number"], first["root"], first["key"]) == (1, kept.root.hex(), kept.key_id)
    assert to_text(kept) == (sealed_log.folder / relative_path(0, 1)).read_text()
