"""Who reads the log is recorded in it, before the first event goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directorybolt.event.v1 import system_events_pb2

from eventstore.audit.read_record import READS_STREAM
from eventstore.types import ANY_VERSION
from services.domain import events
from services.runtime.ledger import Ledger, Stream
from services.runtime.principal import current_principal

if TYPE_CHECKING:
    from eventstore.store import EventStore


class AuditReads:
    """Records reads of one store."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def record(self, method: str, scope: str, events_count: int) -> None:
        """Record that whoever calls is about to be given so many events, or to have them verified.

        Errors: ApiKeyInvalid outside of an authenticated call; those of EventStore.append.
        """
        reader = current_principal().actor
        read = system_events_pb2.AuditLogRead(
            reader=reader, method=method, scope=scope, events_count=events_count
        )
        await Ledger(self._store, reader).append(Stream(READS_STREAM, events.AUDIT), [read], ANY_VERSION)
