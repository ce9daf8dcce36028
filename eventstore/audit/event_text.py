"""An event as exports hold it: one line of JSON with everything that its hash covers."""

from __future__ import annotations

import base64
import json
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from eventstore.types import StoredEvent


def to_line(event: StoredEvent, *, with_hash: bool) -> str:
    """Return an event's line; the hash is null where nothing in the export could vouch for it."""
    fields = {
        "lane": event.position.lane,
        "position": event.position.number,
        "recorded_at": event.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "event_id": str(event.event_id),
        "stream_id": str(event.stream_id),
        "version": event.version,
        "schema_version": event.schema_version,
        "tenant": str(event.tenant),
        "correlation_id": _text(event.correlation_id),
        "causation_id": _text(event.causation_id),
        "category": event.category,
        "event_type": event.event_type,
        "trace_parent": event.trace_parent,
        "actor": event.actor,
        "payload": base64.b64encode(event.payload).decode(),
        "hash": event.hash.hex() if with_hash else None,
    }
    return json.dumps(fields) + "\n"


def _text(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)
