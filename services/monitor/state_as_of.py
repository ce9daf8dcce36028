"""What a job or a submission was at some moment, and how it came to be that."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final
from uuid import UUID

from directorybolt.monitor.v1 import state_as_of_pb2 as pb

from eventstore.types import Position
from services.domain import events
from services.domain.errors import FieldViolation, InvalidArgument, JobNotFound, SubmissionNotFound
from services.monitor.state_as_of_steps import explain_job, explain_submission
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventstore.store import EventStore
    from eventstore.types import AsOf, StoredEvent
    from services.runtime.tokens import TokenSealer

_PAGE_EVENTS: Final = 1_000
_JOBS: Final = "jobs"
_SUBMISSIONS: Final = "submissions"


class StateAsOf:
    """Explains the states of one store."""

    def __init__(self, store: EventStore, sealer: TokenSealer) -> None:
        self._store = store
        self._sealer = sealer

    async def explain(self, request: pb.GetStateAsOfRequest) -> pb.GetStateAsOfResponse:
        """Return the state and its steps.

        Errors: InvalidArgument; JobNotFound, SubmissionNotFound also when there was none yet; UnknownEvent,
        EventUndecodable.
        """
        collection, stream_id = _named(request.name)
        as_of = await self._moment(request, stream_id)
        if collection == _SUBMISSIONS:
            submission = await self._submission(str(stream_id), as_of)
            if submission is None:
                raise SubmissionNotFound
            return pb.GetStateAsOfResponse(state=submission)
        return await self._job(stream_id, as_of, show_submissions=request.show_submissions)

    async def _job(self, job_id: UUID, as_of: AsOf, *, show_submissions: bool) -> pb.GetStateAsOfResponse:
        history = await self._history(job_id, events.JOB, as_of)
        if not history:
            raise JobNotFound
        job = explain_job(str(job_id), history)
        answer = pb.GetStateAsOfResponse(state=job.view(self._token))
        for planned in job.state.planned if show_submissions else ():
            submission = await self._submission(planned.submission_id, as_of)
            if submission is not None:
                answer.submissions.append(submission)
        return answer

    async def _submission(self, submission_id: str, as_of: AsOf) -> pb.ExplainedState | None:
        history = await self._history(UUID(submission_id), events.SUBMISSION, as_of)
        return explain_submission(submission_id, history).view(self._token) if history else None

    async def _history(self, stream_id: UUID, category: str, as_of: AsOf) -> Sequence[StoredEvent]:
        found: list[StoredEvent] = []
        while True:
            page = await self._store.read_stream(
                stream_id, from_version=len(found) + 1, limit=_PAGE_EVENTS, as_of=as_of
            )
            found.extend(page)
            if len(page) < _PAGE_EVENTS:
                return found if found and found[0].category == category else ()

    async def _moment(self, request: pb.GetStateAsOfRequest, stream_id: UUID) -> AsOf:
        positions = self._sealer.read_position(request.as_of_position, field="as_of_position")
        if not request.HasField("as_of_time"):
            return await self._place(stream_id, positions) if positions else None
        if positions:
            raise InvalidArgument(FieldViolation("as_of_position", "send this or as_of_time, not both"))
        return request.as_of_time.ToDatetime(tzinfo=UTC)

    async def _place(self, stream_id: UUID, positions: Sequence[Position]) -> AsOf:
        """Return the position in the stream's own lane; without one, when that of another was recorded."""
        first = await self._store.read_stream(stream_id, limit=1)
        own = [each for each in positions if not first or each.lane == first[0].position.lane]
        if own:
            return own[0]
        there = positions[0]
        page = await self._store.read_all(Position(there.lane, there.number - 1), limit=1)
        return page.events[0].recorded_at if page.events else there

    def _token(self, stored: StoredEvent) -> str:
        return self._sealer.position_token(stored.position)


def _named(name: str) -> tuple[str, UUID]:
    *before, collection, last = ["", "", *name.split("/")]
    owner = [each for each in before if each]
    owned = not owner or (len(owner) == len(("customers", "id")) and owner[0] == "customers")
    if collection not in {_JOBS, _SUBMISSIONS} or not owned or not arguments.is_uuid(last):
        words = f"write jobs/{{uuid}} or submissions/{{uuid}}, not '{name[:200]}'"
        raise InvalidArgument(FieldViolation("name", words))
    return collection, UUID(last)
