"""Lists, page by page, from the read models: each page begins behind the last entry of the one before.

A page token is sealed with the query and the customer, so that it opens for the same question only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast
from uuid import UUID

from directorybolt.intake.v1 import customers_pb2, jobs_pb2
from directorybolt.job.v1 import job_pb2

from eventstore.types import Position
from services.domain.errors import FieldViolation, InvalidArgument, JobNotFound
from services.intake import names
from services.intake.freshness import CATALOGUE, HISTORY, JOBS, SUBMISSIONS
from services.intake.views import Progress, counts_of, directory_view, job_view
from services.projections.submissions import Tally
from services.runtime import arguments
from services.runtime.event_view import event_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.intake.evidence_details import SubmissionPresenter
    from services.intake.freshness import Freshness
    from services.intake.names import Owned
    from services.projections.catalogue import CatalogueReader
    from services.projections.history import HistoryReader
    from services.projections.jobs import JobReader, JobRow
    from services.projections.submissions import SubmissionReader
    from services.runtime.ledger import Ledger
    from services.runtime.tokens import TokenSealer

_EVERYBODY: Final = ""
_PATIENCE_SECONDS: Final = 2.0


class ReadModels(NamedTuple):
    """What lists are read from."""

    catalogue: CatalogueReader
    jobs: JobReader
    submissions: SubmissionReader
    history: HistoryReader


class Lists:
    """Answers every List method."""

    def __init__(
        self,
        ledger: Ledger,
        read: ReadModels,
        freshness: Freshness,
        presenter: SubmissionPresenter,
        sealer: TokenSealer,
    ) -> None:
        self._ledger = ledger
        self._read = read
        self._freshness = freshness
        self._presenter = presenter
        self._sealer = sealer

    async def directories(
        self, request: customers_pb2.ListDirectoriesRequest
    ) -> customers_pb2.ListDirectoriesResponse:
        """Return a page of the catalogue.

        Errors: InvalidArgument; ReadModelBehind.
        """
        size = arguments.page_size(request.page_size, default=100, most=500)
        cursor = self._sealer.read_page(request.page_token, query=request, customer_id=_EVERYBODY)
        await self._freshness.wait(request.min_position, CATALOGUE)
        after = cast("tuple[int, str] | None", cursor or None)
        rows = await self._read.catalogue.page(after, size + 1)
        token = ""
        if len(rows) > size:
            token = self._sealer.page_token(rows[size - 1].cursor, query=request, customer_id=_EVERYBODY)
        shown = [directory_view(each.entry, each.version) for each in rows[:size]]
        return customers_pb2.ListDirectoriesResponse(directories=shown, next_page_token=token)

    async def jobs(self, customer_id: UUID, request: jobs_pb2.ListJobsRequest) -> jobs_pb2.ListJobsResponse:
        """Return a page of a customer's jobs.

        Errors: InvalidArgument; ReadModelBehind.
        """
        size = arguments.page_size(request.page_size, default=50, most=200)
        if request.state not in job_pb2.JobState.values():
            raise InvalidArgument(FieldViolation("state", "is no state of a job"))
        owner = str(customer_id)
        cursor = self._sealer.read_page(request.page_token, query=request, customer_id=owner)
        await self._freshness.wait(request.min_position, JOBS, SUBMISSIONS)
        before = cast("int", cursor[0]) if cursor else None
        rows = await self._read.jobs.page(
            customer_id, state=request.state or None, before=before, limit=size + 1
        )
        token = ""
        if len(rows) > size:
            last = rows[size - 1].accepted.number
            token = self._sealer.page_token([last], query=request, customer_id=owner)
        shown = await self._shown_jobs(customer_id, rows[:size])
        return jobs_pb2.ListJobsResponse(jobs=shown, next_page_token=token)

    async def _shown_jobs(self, customer_id: UUID, rows: Sequence[JobRow]) -> list[job_pb2.Job]:
        tallies = await self._read.submissions.tallies(
            customer_id, [UUID(each.state.job_id) for each in rows]
        )
        shown: list[job_pb2.Job] = []
        for row in rows:
            tally = tallies.get(UUID(row.state.job_id), Tally())
            covered = Position(row.position.lane, max(row.position.number, tally.position_number))
            counts = counts_of(tally.numbers, row.planned_count)
            token = self._sealer.position_token(covered)
            shown.append(job_view(row.state, Progress(counts, tally.changed_at, token)))
        return shown

    async def submissions(
        self, customer_id: UUID, job_id: UUID | None, request: jobs_pb2.ListSubmissionsRequest
    ) -> jobs_pb2.ListSubmissionsResponse:
        """Return a page of the submissions of a job, or of the customer.

        Errors: InvalidArgument; ReadModelBehind.
        """
        size = arguments.page_size(request.page_size, default=100, most=500)
        if request.state not in job_pb2.SubmissionState.values():
            raise InvalidArgument(FieldViolation("state", "is no state of a submission"))
        owner = str(customer_id)
        cursor = self._sealer.read_page(request.page_token, query=request, customer_id=owner)
        await self._freshness.wait(request.min_position, SUBMISSIONS)
        found = await self._read.submissions.page(
            customer_id,
            job_id,
            state=request.state or None,
            after=cast("tuple[str, str] | None", cursor or None),
            limit=size + 1,
        )
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = self._sealer.page_token(
                [last.directory_id, last.submission_id], query=request, customer_id=owner
            )
        shown = [await self._presenter.show(each) for each in found[:size]]
        return jobs_pb2.ListSubmissionsResponse(submissions=shown, next_page_token=token)

    async def job_events(
        self, job: Owned, request: jobs_pb2.ListJobEventsRequest
    ) -> jobs_pb2.ListJobEventsResponse:
        """Return a page of what happened to a job.

        Errors: InvalidArgument; JobNotFound.
        """
        size = arguments.page_size(request.page_size, default=200, most=1_000)
        owner = str(job.customer_id)
        cursor = self._sealer.read_page(request.page_token, query=request, customer_id=owner)
        own = await self._ledger.history(job.id, job.customer_id)
        if not own:
            raise JobNotFound(job=names.job(*job))
        # Whoever has just seen the job end expects to find its end here; a moment's wait is worth that.
        await self._freshness.covers(own[-1].position, HISTORY, seconds=_PATIENCE_SECONDS)
        after = cast("int", cursor[0]) if cursor else 0
        found = await self._read.history.page(job.customer_id, job.id, after=after, limit=size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1].position.number
            token = self._sealer.page_token([last], query=request, customer_id=owner)
        shown = [event_view(each, self._sealer) for each in found[:size]]
        return jobs_pb2.ListJobEventsResponse(events=shown, next_page_token=token)

    async def require_job(self, job: Owned) -> None:
        """Refuse a job that is not there, or is another customer's.

        Errors: JobNotFound.
        """
        if not await self._ledger.store.read_stream(job.id, limit=1, tenant=job.customer_id):
            raise JobNotFound(job=names.job(*job))
