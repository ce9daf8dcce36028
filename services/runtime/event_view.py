"""A stored event as it leaves the API: decoded, with its position sealed.

An event of a newer release is shown, too, without its data: whoever looks sees that it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from directorybolt.event.v1 import event_pb2

from services.domain import events

if TYPE_CHECKING:
    from eventstore.types import StoredEvent
    from services.runtime.tokens import TokenSealer


def event_view(stored: StoredEvent, sealer: TokenSealer) -> event_pb2.Event:
    """Return the contract's form of a stored event.

    Errors: EventUndecodable.
    """
    view = event_pb2.Event(
        position=sealer.position_token(stored.position),
        category=stored.category,
        stream_id=str(stored.stream_id),
        version=stored.version,
        event_id=str(stored.event_id),
        schema_version=stored.schema_version,
        customer_id=str(stored.tenant),
        correlation_id=str(stored.correlation_id or ""),
        causation_id=str(stored.causation_id or ""),
        trace_parent=stored.trace_parent,
        actor=stored.actor,
        hash=stored.hash,
        event_type=stored.event_type,
    )
    view.record_time.FromDatetime(stored.recorded_at)
    if not events.knows(stored):
        return view
    fact = events.read(stored)
    member = getattr(view, events.MEMBER_BY_TYPE[stored.event_type])
    # CopyFrom alone would leave the member of a fact without content unset.
    member.SetInParent()
    member.CopyFrom(fact)
    return view
