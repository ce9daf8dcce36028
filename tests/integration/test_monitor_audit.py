"""Auditors by RPC: the whole log verified with progress, bundles exported, and every read recorded."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from directorybolt.event.v1 import submission_events_pb2, system_events_pb2
from directorybolt.monitor.v1 import audit_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub

from eventstore.audit import standalone
from eventstore.audit.read_record import READS_STREAM
from eventstore.audit.seal_archive import DirectorySealArchive, relative_path
from eventstore.errors import SealConflict
from eventstore.types import ANY_VERSION, Position
from services.domain import errors, events
from services.monitor import health
from services.monitor.log_sealing import LogSealing
from services.runtime.client import open_channel, peer_errors
from services.runtime.clock import SystemClock
from services.runtime.config import ConfigError, LogSealConfig
from services.runtime.ledger import Stream, Why
from tests.fix_monitor_service import (
    SERVICE_KEY,
    TENANT,
    monitor,
    monitor_template,
    postgres_cluster,
    sqs_environment,
)
from tests.fix_seals import OTHER_SIGNER, SIGNER, seal_everything, sealer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.fix_monitor_service import Monitor

__all__ = ["monitor", "monitor_template", "postgres_cluster", "sqs_environment"]


async def fill(monitor: Monitor, count: int = 10, job: UUID | None = None) -> UUID:
    """Append some events of a job."""
    job = job or uuid4()
    for _ in range(count):
        stream = Stream(uuid4(), events.SUBMISSION, TENANT)
        fact = submission_events_pb2.SubmissionDeadLettered(attempts_used=1)
        await monitor.ledger.append(stream, [fact], ANY_VERSION, Why(correlation_id=job))
    return job


async def verified(monitor: Monitor, from_position: str = "") -> Sequence[audit_pb2.VerifyWholeLogResponse]:
    """Return what VerifyWholeLog says."""
    request = audit_pb2.VerifyWholeLogRequest(from_position=from_position)
    return [each async for each in monitor.stub.VerifyWholeLog(request)]


async def exported(monitor: Monitor, target: Path, request: audit_pb2.ExportLogRequest) -> Path:
    """Write what ExportLog sends into a file."""
    with target.open("wb") as file:
        async for each in monitor.stub.ExportLog(request):
            file.write(each.chunk)
    return target


async def reads(monitor: Monitor) -> Sequence[system_events_pb2.AuditLogRead]:
    """Return what is recorded of reads."""
    found = [events.read(each) for each in await monitor.store.read_stream(READS_STREAM)]
    return [each for each in found if isinstance(each, system_events_pb2.AuditLogRead)]


class TestVerifyWholeLog:
    """The whole log is verified in a stream."""

    async def test_the_last_answer_has_the_verdict(self, monitor: Monitor) -> None:
        await fill(monitor)

        answers = await verified(monitor)

        assert [each.HasField("verdict") for each in answers] == [False] * (len(answers) - 1) + [True]
        verdict = answers[-1].verdict
        assert verdict.intact
        assert verdict.events_count == answers[-1].events_done == answers[-1].events_total >= 10
        assert verdict.HasField("end_time")

    async def test_what_is_wrong_is_named_with_check_and_place(self, monitor: Monitor) -> None:
        await fill(monitor)
        await monitor.as_superuser("update es.event_from_1 set actor = 'x' where position = 4")

        (finding,) = (await verified(monitor))[-1].verdict.findings

        assert finding.check == "hash"
        assert finding.from_position == finding.to_position or finding.from_position
        (place,) = monitor.sealer.read_position(finding.from_position, field="from_position")
        assert place.number == 4
        assert "position 4" in finding.description

    async def test_verification_begins_where_it_is_told(self, monitor: Monitor) -> None:
        await fill(monitor)

        answers = await verified(monitor, monitor.token(8))

        head = (await monitor.store.head()).number
        assert answers[-1].verdict.events_count <= head - 7

    async def test_a_position_that_is_not_reached_is_refused(self, monitor: Monitor) -> None:
        with pytest.raises(errors.PositionBeyondEnd), peer_errors():
            await verified(monitor, monitor.token(10_000))

    async def test_seals_of_another_key_are_found(self, monitor: Monitor) -> None:
        await fill(monitor)
        await seal_everything(monitor.database_url, signer=OTHER_SIGNER, events_max=5)

        verdict = (await verified(monitor))[-1].verdict

        assert {each.check for each in verdict.findings} == {"seal_key"}
        assert list(verdict.public_keys) == [OTHER_SIGNER.public_key.hex()]
        assert verdict.sealed_position

    async def test_a_client_that_leaves_in_the_middle_ends_it(self, monitor: Monitor) -> None:
        await fill(monitor)
        call = monitor.stub.VerifyWholeLog(audit_pb2.VerifyWholeLogRequest())
        await anext(aiter(call))
        call.cancel()

        assert (await verified(monitor))[-1].verdict.intact


class TestExportLog:
    """Bundles go out as .tar files."""

    @pytest.mark.parametrize("selection", ["", "customer", "job", "stream_id", "event_id", "from_position"])
    async def test_a_bundle_is_believed_by_its_own_program(
        self, monitor: Monitor, tmp_path: Path, selection: str
    ) -> None:
        job = await fill(monitor)
        await seal_everything(monitor.database_url, events_max=4)
        (first, *_) = (await monitor.store.read_all(Position(0, 0), limit=1)).events
        values = {
            "customer": f"customers/{TENANT}",
            "job": f"jobs/{job}",
            "stream_id": str(first.stream_id),
            "event_id": str(first.event_id),
            "from_position": monitor.token(3),
        }
        request = audit_pb2.ExportLogRequest(**({selection: values[selection]} if selection else {}))

        bundle = await exported(monitor, tmp_path / "bundle.tar", request)

        assert standalone.main([str(bundle), "--allow-unsealed"]) == standalone.PROVEN
        with tarfile.open(bundle) as tar:
            lines = io.TextIOWrapper(tar.extractfile(standalone.EVENTS) or io.BytesIO()).readlines()
        assert len(lines) >= (1 if selection in {"stream_id", "event_id"} else 8)
        (*_, read) = await reads(monitor)
        assert (read.method, read.events_count) == ("ExportLog", len(lines))

    @pytest.mark.parametrize(
        "request_",
        [
            audit_pb2.ExportLogRequest(customer="acme"),
            audit_pb2.ExportLogRequest(job="x"),
            audit_pb2.ExportLogRequest(stream_id="x"),
            audit_pb2.ExportLogRequest(event_id=""),
            audit_pb2.ExportLogRequest(from_position="x"),
        ],
    )
    async def test_what_names_nothing_is_refused(
        self, monitor: Monitor, tmp_path: Path, request_: audit_pb2.ExportLogRequest
    ) -> None:
        with pytest.raises(errors.InvalidArgument), peer_errors():
            await exported(monitor, tmp_path / "b", request_)

    async def test_a_damaged_log_is_data_loss(self, monitor: Monitor, tmp_path: Path) -> None:
        await fill(monitor)
        await seal_everything(monitor.database_url, events_max=4)
        await monitor.as_superuser("update es.event_from_1 set actor = 'x' where position = 2")

        with pytest.raises(errors.LogDamaged), peer_errors():
            await exported(monitor, tmp_path / "b", audit_pb2.ExportLogRequest())

        assert await reads(monitor) == []


class TestReads:
    """Who read what is in the log."""

    async def test_every_way_of_reading_is_recorded(self, monitor: Monitor, tmp_path: Path) -> None:
        stream_id = await monitor.dead_letter()
        await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(stream_id)))
        async for _ in monitor.stub.ReadAll(pb.ReadAllRequest(categories=["submission"])):
            pass
        await monitor.stub.VerifyLog(pb.VerifyLogRequest())
        await verified(monitor)
        await exported(monitor, tmp_path / "b", audit_pb2.ExportLogRequest())

        found = await reads(monitor)

        assert [each.method for each in found] == [
            "ReadStream",
            "ReadAll",
            "VerifyLog",
            "VerifyWholeLog",
            "ExportLog",
        ]
        assert {each.reader for each in found} == {"staff:staff000"}
        assert (found[0].scope, found[0].events_count) == (f"stream {stream_id} from version 1", 1)
        assert found[1].scope.startswith("submission: lane 0, positions 1 to ")
        assert all(each.events_count for each in found)

    async def test_the_record_is_read_like_any_stream_and_that_is_recorded_too(
        self, monitor: Monitor
    ) -> None:
        await monitor.stub.VerifyLog(pb.VerifyLogRequest())
        request = pb.ReadStreamRequest(stream_id=str(READS_STREAM))

        first = await monitor.stub.ReadStream(request)
        second = await monitor.stub.ReadStream(request)

        assert [each.audit_log_read.method for each in first.events] == ["VerifyLog"]
        assert [each.audit_log_read.method for each in second.events] == ["VerifyLog", "ReadStream"]

    async def test_what_is_refused_was_not_read(self, monitor: Monitor) -> None:
        with pytest.raises(errors.StreamNotFound), peer_errors():
            await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(uuid4())))
        async with open_channel(monitor.address, api_key=SERVICE_KEY, clock=SystemClock()) as channel:
            with pytest.raises(errors.ScopeMissing), peer_errors():
                await MonitorServiceStub(channel).VerifyLog(pb.VerifyLogRequest())

        assert await reads(monitor) == []


class TestSealing:
    """The monitor's loop seals the log, and its failure shows."""

    async def test_health_says_that_the_log_is_sealed(self, monitor: Monitor) -> None:
        answer = await monitor.stub.GetHealth(pb.GetHealthRequest())

        (part,) = [each for each in answer.parts if each.part == "log seals"]
        assert (part.state, part.detail) == (pb.HEALTH_STATE_HEALTHY, "log sealed")

    async def test_what_keeps_the_log_from_being_sealed_shows_until_it_is_mended(
        self, monitor: Monitor, tmp_path: Path
    ) -> None:
        await fill(monitor)
        archive = DirectorySealArchive(tmp_path / "seals")
        blocked = tmp_path / "seals" / relative_path(0, 2)

        async with sealer(monitor.database_url, archive, events_max=4) as made:
            sealing = LogSealing(made, archive, frozenset([SIGNER.public_key]))
            assert await sealing.run_once()
            blocked.write_text("something else")
            with pytest.raises(SealConflict):
                await sealing.run_once()
            part = health.log_seal_part(sealing.trouble)
            assert (part.state, "another log seal" in part.detail) == (pb.HEALTH_STATE_DEGRADED, True)

            blocked.unlink()
            assert await sealing.run_once()
            assert health.log_seal_part(sealing.trouble).state == pb.HEALTH_STATE_HEALTHY

    async def test_a_place_that_cannot_be_written_is_not_named_to_everybody(
        self, monitor: Monitor, tmp_path: Path
    ) -> None:
        await fill(monitor)
        (tmp_path / "a-file").write_text("x")
        archive = DirectorySealArchive(tmp_path / "a-file")

        async with sealer(monitor.database_url, archive, events_max=4) as made:
            sealing = LogSealing(made, archive)
            with pytest.raises(OSError, match="a-file"):
                await sealing.run_once()

        assert sealing.trouble == "nothing is sealed (NotADirectoryError)"

    async def test_without_a_key_nothing_is_sealed_and_health_says_so(self) -> None:
        async with LogSealing.open("", LogSealConfig(key_file=None, archive="")) as sealing:
            assert not await sealing.run_once()
            assert health.log_seal_part(sealing.trouble).state == pb.HEALTH_STATE_DEGRADED

    async def test_a_key_file_without_a_key_stops_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hello")

        with pytest.raises(ConfigError, match="LOG_SEAL_KEY_FILE"):
            async with LogSealing.open("", LogSealConfig(key_file=tmp_path / "key", archive="")):
                pass
