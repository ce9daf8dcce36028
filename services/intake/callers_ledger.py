"""The log as callers move it: every event says whose key it was appended for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.runtime.ledger import NO_REASON, Ledger
from services.runtime.principal import current_principal

if TYPE_CHECKING:
    from uuid import UUID

    from google.protobuf.message import Message

    from eventstore.store import EventStore
    from eventstore.types import NewEvent
    from services.runtime.ledger import Why


class CallersLedger(Ledger):
    """A ledger for use within calls: its actor is the service and, behind a slash, the caller's key."""

    def __init__(self, store: EventStore, service: str) -> None:
        super().__init__(store, service)
        self._service = service

    def new_event(self, message: Message, why: Why = NO_REASON, event_id: UUID | None = None) -> NewEvent:
        """Return a message ready to append.

        Errors: ApiKeyInvalid outside of an authenticated call.
        """
        event = super().new_event(message, why, event_id)
        return replace(event, actor=f"{self._service}/{current_principal().actor}")
