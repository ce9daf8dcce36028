"""Shows jobs and submissions from their own streams: an answer covers every acknowledged write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.types import Position
from services.domain.errors import JobNotFound, SubmissionNotFound
from services.intake import names
from services.intake.freshness import SUBMISSIONS
from services.intake.streams import folded, read_histories, read_job, read_submission
from services.intake.views import Progress, counts_of, job_view
from services.projections.submissions import Tally
from services.runtime.ledger import JOB, SUBMISSION

if TYPE_CHECKING:
    from directorybolt.job.v1 import job_pb2

    from services.domain.job import Job
    from services.intake.evidence_details import SubmissionPresenter
    from services.intake.freshness import Freshness
    from services.intake.names import Owned
    from services.projections.submissions import SubmissionReader
    from services.runtime.ledger import Ledger
    from services.runtime.tokens import TokenSealer

#: Jobs of up to so many submissions are counted from their streams; larger ones from the read model.
FOLDED_SUBMISSIONS_MAX: Final = 50
#: How long the read model may take to catch up before a large job is counted from its streams after all.
_PATIENCE_SECONDS: Final = 1.0


class JobShow:
    """Shows one job or submission at a time."""

    def __init__(
        self,
        ledger: Ledger,
        reader: SubmissionReader,
        freshness: Freshness,
        presenter: SubmissionPresenter,
        sealer: TokenSealer,
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._freshness = freshness
        self._presenter = presenter
        self._sealer = sealer

    async def job(self, name: Owned) -> job_pb2.Job:
        """Return a job.

        Errors: JobNotFound.
        """
        found = await read_job(self._ledger, name.id, name.customer_id)
        if found.position is None:
            raise JobNotFound(job=names.job(*name))
        tally = await self._tally(name, found.state, found.position)
        covered = Position(found.position.lane, max(found.position.number, tally.position_number))
        counts = counts_of(tally.numbers, len(found.state.planned))
        token = self._sealer.position_token(covered)
        return job_view(found.state, Progress(counts, tally.changed_at, token))

    async def accepted(self, name: Owned) -> job_pb2.Job:
        """Return a job as it was when it was accepted: the answer to its order, however often that is sent.

        Errors: JobNotFound.
        """
        first = await self._ledger.store.read_stream(name.id, limit=1, tenant=name.customer_id)
        found = folded(JOB, first)
        if found.position is None:
            raise JobNotFound(job=names.job(*name))
        token = self._sealer.position_token(found.position)
        return job_view(found.state, Progress(counts_of({}, 0), None, token))

    async def submission(self, name: Owned) -> job_pb2.Submission:
        """Return a submission.

        Errors: SubmissionNotFound.
        """
        found = await read_submission(self._ledger, name.id, name.customer_id)
        if found.position is None:
            raise SubmissionNotFound(submission=names.submission(*name))
        return await self._presenter.show(found.state)

    async def _tally(self, name: Owned, job: Job, position: Position) -> Tally:
        if len(job.planned) > FOLDED_SUBMISSIONS_MAX:
            head = await self._ledger.store.head(position.lane)
            if await self._freshness.covers(head, SUBMISSIONS, seconds=_PATIENCE_SECONDS):
                return (await self._reader.tallies(name.customer_id, [name.id])).get(name.id, Tally())
        return await self._folded_tally(name, job)

    async def _folded_tally(self, name: Owned, job: Job) -> Tally:
        tally = Tally()
        ids = [each.submission_id for each in job.planned]
        for history in (await read_histories(self._ledger, ids, name.customer_id)).values():
            found = folded(SUBMISSION, history)
            if found.position is not None:
                tally.add(found.state.state, found.state.changed_at, found.position.number)
        return tally
