"""What auditors get when the log's oldest part was deleted: what is left, and a plain word about the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from directorybolt.event.v1 import submission_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from eventstore.archive.archiver import Archiver
from eventstore.archive.folder_storage import FolderStorage
from eventstore.archive.retention import Retention
from eventstore.types import ANY_VERSION
from services.domain import errors, events
from services.runtime.client import peer_errors
from services.runtime.ledger import Stream
from tests.fix_monitor_service import TENANT, monitor, monitor_template, postgres_cluster, sqs_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_monitor_service import Monitor

__all__ = ["monitor", "monitor_template", "postgres_cluster", "sqs_environment"]

NOW = timedelta()


async def test_auditors_read_and_verify_what_is_left_of_the_log(monitor: Monitor, tmp_path: Path) -> None:
    stream_id = uuid4()
    stream = Stream(stream_id, events.SUBMISSION, TENANT)
    claimed = submission_events_pb2.SubmissionClaimed(worker_id="w", attempt=1)
    for _ in range(4):
        await monitor.ledger.append(stream, [claimed] * 300, ANY_VERSION)
    storage = FolderStorage(tmp_path / "cold")
    archiver = Archiver(monitor.store, monitor.database_url, storage)
    (first,) = await archiver.due(NOW)
    await archiver.archive(first)
    await Retention(monitor.database_url, storage).delete(1, NOW)

    request = pb.ReadAllRequest(categories=[events.SUBMISSION])
    read = [each.event async for each in monitor.stub.ReadAll(request)]
    assert [each.version for each in read] == list(range(1_201 - len(read), 1_201))
    assert len(read) >= 200
    assert (await monitor.stub.VerifyLog(pb.VerifyLogRequest())).intact
    with pytest.raises(errors.EventsDeleted), peer_errors():
        await monitor.stub.ReadStream(pb.ReadStreamRequest(stream_id=str(stream_id)))
    later = pb.ReadStreamRequest(stream_id=str(stream_id), from_version=read[0].version)
    assert (await monitor.stub.ReadStream(later)).stream_version == 1_200
