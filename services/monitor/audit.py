"""Reads the log for auditors: one stream, all of it from a position on, and whether the chain is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import monitor_service_pb2 as pb

from eventstore.beginning import beginning
from eventstore.following.subscription import Subscription
from eventstore.types import Filter, Position
from services.domain import events
from services.domain.errors import FieldViolation, PositionBeyondEnd, StreamNotFound
from services.runtime import arguments
from services.runtime.event_view import event_view

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from uuid import UUID

    from eventstore.store import EventStore
    from eventstore.types import StoredEvent
    from services.monitor.audit_reads import AuditReads
    from services.runtime.tokens import TokenSealer

PAGE_DEFAULT: Final = 200
PAGE_MAX: Final = 1_000
_SCAN_EVENTS: Final = 500
_POLL_SECONDS: Final = 1.0
_SCOPE_CHARACTERS_MAX: Final = 500


class Audit:
    """Reads for one store."""

    def __init__(self, store: EventStore, sealer: TokenSealer, reads: AuditReads) -> None:
        self._store = store
        self._sealer = sealer
        self._reads = reads

    async def stream(self, request: pb.ReadStreamRequest) -> pb.ReadStreamResponse:
        """Return a stream's events from a version on, and the version that the stream is at.

        Errors: InvalidArgument; StreamNotFound; EventUndecodable.
        """
        stream_id = arguments.uuid(request.stream_id, "stream_id")
        size = arguments.page_size(request.page_size, default=PAGE_DEFAULT, most=PAGE_MAX)
        first = max(1, arguments.natural(request.from_version, "from_version"))
        page = await self._store.read_stream(stream_id, from_version=first, limit=size)
        answer = pb.ReadStreamResponse(
            events=[event_view(stored, self._sealer) for stored in page],
            stream_version=await self._version(stream_id, page, whole=len(page) < size),
        )
        await self._reads.record("ReadStream", f"stream {stream_id} from version {first}", len(page))
        return answer

    async def _version(self, stream_id: UUID, page: Sequence[StoredEvent], *, whole: bool) -> int:
        """Return the version of a stream of which a page is known; `whole` when nothing follows it."""
        known = page[-1].version if page else 0
        if page and whole:
            return known
        while page := await self._store.read_stream(stream_id, from_version=known + 1, limit=_SCAN_EVENTS):
            known = page[-1].version
        if not known:
            raise StreamNotFound(stream=str(stream_id))
        return known

    async def all(self, request: pb.ReadAllRequest) -> AsyncGenerator[pb.ReadAllResponse]:
        """Yield the ledger after a position, to the head of now or for ever.

        Of several lanes each is in order; the position of an event tells how far all of them were read.
        Errors: InvalidArgument; PositionBeyondEnd; EventsDeleted; EventUndecodable.
        """
        arguments.refuse(_unknown(request))
        after = self._sealer.read_position(request.after_position, field="after_position")
        only = Filter(frozenset(request.categories), frozenset(request.event_types))
        lanes = range(self._store.lanes)
        # Without a position, from where the log begins: its oldest part may have been deleted.
        begun = {} if after else {lane: (await beginning(self._store, lane)).number for lane in lanes}
        ledger = Subscription(self._store, lanes, begun | {each.lane: each.number for each in after})
        heads = {lane: (await self._store.head(lane)).number for lane in ledger.positions}
        if any(number > heads[lane] for lane, number in ledger.positions.items()):
            raise PositionBeyondEnd
        count = sum(heads[lane] - number for lane, number in ledger.positions.items())
        await self._reads.record("ReadAll", _words(request, ledger.positions, heads), count)
        while request.follow or any(number < heads[lane] for lane, number in ledger.positions.items()):
            before = dict(ledger.positions)
            for lane, number in before.items():
                page = await self._store.read_all(Position(lane, number), limit=_SCAN_EVENTS, only=only)
                for stored in page.events:
                    # What came after the question is for those who stay.
                    if request.follow or stored.position.number <= heads[lane]:
                        yield self._response(stored, ledger.positions)
                ledger.move(page)
            if ledger.positions == before:
                await ledger.wait_for_news(_POLL_SECONDS)

    def _response(self, stored: StoredEvent, places: Mapping[int, int]) -> pb.ReadAllResponse:
        """Return an event with the position to go on from: its own, and where the other lanes are."""
        view = event_view(stored, self._sealer)
        others = [Position(lane, places[lane]) for lane in places if lane != stored.position.lane]
        if others:
            view.position = self._sealer.position_token(stored.position, *others)
        return pb.ReadAllResponse(event=view)


def _words(request: pb.ReadAllRequest, after: Mapping[int, int], heads: Mapping[int, int]) -> str:
    only = ", ".join(sorted([*request.categories, *request.event_types])) or "everything"
    places = "; ".join(f"lane {lane}, positions {after[lane] + 1} to {heads[lane]}" for lane in heads)
    end = " and what follows" if request.follow else ""
    return f"{only}: {places}{end}"[:_SCOPE_CHARACTERS_MAX]


def _unknown(request: pb.ReadAllRequest) -> Iterator[FieldViolation]:
    for each in request.categories:
        if each not in events.CATEGORIES:
            known = ", ".join(sorted(events.CATEGORIES))
            yield FieldViolation("categories", f"'{each[:100]}' is none of {known}")
    for each in request.event_types:
        if each not in events.CLASS_BY_TYPE:
            yield FieldViolation("event_types", f"'{each[:100]}' is no message of event.v1.Event.data")
