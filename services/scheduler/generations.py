"""Which submission a job gets at a directory: the one that is there, or the next generation.

The stream's id is made of profile, directory and generation, so that two jobs that want the same meet in
the same stream, and only one form is ever sent.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from datetime import datetime

    from services.domain.submission import Submission

#: The same business may be submitted to the same directory again after so long.
RESUBMIT_AFTER: Final = timedelta(days=30)


class Fit(Enum):
    """What an existing submission is to a job that wants one."""

    #: There is none in this generation: request it.
    ABSENT = "absent"
    #: It is the job's own already, from a plan that was broken off.
    OWN = "own"
    #: It serves the job too.
    SHARED = "shared"
    #: It was cancelled, or is too old to count: look at the next generation.
    SPENT = "spent"


def fit(state: Submission, job_id: str, now: datetime) -> Fit:
    """Return what a generation is to this job.

    A cancelled one would take the order with it, so it is spent; a dead letter is joined, because a second
    one would fail as the first did, and one redrive serves both.
    """
    if state.version == 0:
        return Fit.ABSENT
    if job_id in state.jobs:
        return Fit.OWN
    if state.state == job_pb2.SUBMISSION_STATE_CANCELLED:
        return Fit.SPENT
    requested_at = state.requested_at or now
    return Fit.SPENT if state.settled and now - requested_at >= RESUBMIT_AFTER else Fit.SHARED
