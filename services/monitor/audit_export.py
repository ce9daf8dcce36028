"""Exports events with their proof: a bundle is made aside, recorded, and only then sent."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import audit_pb2

from eventstore.audit.export import export
from eventstore.audit.selection import EventRange, Selected
from eventstore.types import PULSE_LANE
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventstore.store import EventStore
    from services.monitor.audit_reads import AuditReads
    from services.runtime.tokens import TokenSealer

_CHUNK_BYTES: Final = 256 * 1_024


class AuditExport:
    """Exports from one store."""

    def __init__(self, database_url: str, store: EventStore, reads: AuditReads, sealer: TokenSealer) -> None:
        self._database_url = database_url
        self._store = store
        self._reads = reads
        self._sealer = sealer

    async def run(self, request: audit_pb2.ExportLogRequest) -> AsyncGenerator[audit_pb2.ExportLogResponse]:
        """Yield a bundle as the bytes of a .tar file.

        Errors: InvalidArgument; LogDamaged when what is read is not what was sealed; StoreUnavailable.
        """
        wanted = self._wanted(request)
        with tempfile.TemporaryDirectory(prefix="export-") as folder:
            target = Path(folder) / "bundle.tar"
            await export(
                self._database_url,
                self._store,
                wanted,
                target,
                before_release=lambda exported: self._reads.record(
                    "ExportLog", wanted.words, exported.events_count
                ),
            )
            with await asyncio.to_thread(target.open, "rb") as file:
                while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                    yield audit_pb2.ExportLogResponse(chunk=chunk)

    def _wanted(self, request: audit_pb2.ExportLogRequest) -> EventRange | Selected:
        match request.WhichOneof("selection"):
            case "customer":
                return Selected("tenant", arguments.named(request.customer, "customers", "customer"))
            case "stream_id":
                return Selected("stream", arguments.uuid(request.stream_id, "stream_id"))
            case "job":
                return Selected("correlation", arguments.named(request.job, "jobs", "job"))
            case "event_id":
                return Selected("event", arguments.uuid(request.event_id, "event_id"))
            case _:
                positions = self._sealer.read_position(request.from_position, field="from_position")
                # One position stands for all lanes: the earliest leaves nothing out.
                first = min((each.number for each in positions if each.lane != PULSE_LANE), default=1)
                return EventRange(max(1, first))
