"""From what the log says to what the contract shows; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from directorybolt.directory.v1 import directory_pb2
from directorybolt.intake.v1 import customers_pb2
from directorybolt.job.v1 import job_pb2

from services.domain.attempts import timestamp
from services.domain.job import counts_from
from services.intake import names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from directorybolt.event.v1 import profile_events_pb2, submission_events_pb2
    from directorybolt.profile.v1 import profile_pb2

    from services.domain.job import Job
    from services.domain.kinds import Package, State
    from services.domain.submission import Submission


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the submissions of a job are, when one of them last moved, and which token covers that."""

    counts: job_pb2.SubmissionCounts
    changed_at: datetime | None
    position_token: str


def etag(version: int) -> str:
    """Return a version as an etag: quoted."""
    return f'"{version}"'


def counts_of(numbers: Mapping[State, int], planned: int) -> job_pb2.SubmissionCounts:
    """Return the counts of a job; submissions that are planned and not there yet are open."""
    counts = counts_from(numbers)
    missing = max(0, planned - counts.total)
    counts.open += missing
    counts.total += missing
    return counts


def job_view(state: Job, progress: Progress) -> job_pb2.Job:
    """Return a job as the contract shows it."""
    view = job_pb2.Job(
        name=names.job(state.customer_id, state.job_id),
        profile=names.profile(state.customer_id, state.profile_id),
        profile_version=state.profile_version,
        state=state.state,
        priority=state.priority,
        package=state.package,
        counts=progress.counts,
        position=progress.position_token,
    )
    moments = [each for each in (state.changed_at, progress.changed_at) if each]
    if state.created_at:
        view.create_time.CopyFrom(timestamp(state.created_at))
    if moments:
        view.update_time.CopyFrom(timestamp(max(moments)))
    if state.ended_at:
        view.end_time.CopyFrom(timestamp(state.ended_at))
    return view


def submission_view(
    state: Submission, details: submission_events_pb2.EvidenceDetails | None
) -> job_pb2.Submission:
    """Return a submission as the contract shows it; without details nothing of the site's words."""
    owner = state.customer_id
    view = job_pb2.Submission(
        name=names.submission(owner, state.submission_id),
        directory=names.directory(state.directory_id),
        profile=names.profile(owner, state.profile_id),
        jobs=[names.job(owner, each) for each in state.jobs],
        state=state.state,
        attempt=state.attempt,
        attempts_max=state.attempts_max,
        generation=state.generation,
        error_class=state.error_class,
        worker=state.worker_id,
        proofs=[names.proof(owner, each) for each in state.proofs],
    )
    if state.due_at:
        view.due_time.CopyFrom(timestamp(state.due_at))
    if state.changed_at:
        view.update_time.CopyFrom(timestamp(state.changed_at))
    if details:
        view.listing_url = details.listing_url
        view.explanation = "; ".join(filter(None, (details.matched_text, *details.field_errors)))
    return view


def customer_view(
    customer_id: str, package: Package, details: profile_events_pb2.CustomerDetails, created_at: datetime
) -> customers_pb2.Customer:
    """Return a customer as the contract shows it."""
    return customers_pb2.Customer(
        name=names.customer(customer_id),
        display_name=details.display_name,
        email=details.email,
        package=package,
        create_time=timestamp(created_at),
    )


def profile_view(
    customer_id: str, profile_id: str, business: profile_pb2.BusinessProfile, version: int
) -> customers_pb2.Profile:
    """Return a profile as the contract shows it."""
    return customers_pb2.Profile(
        name=names.profile(customer_id, profile_id), business=business, version=version, etag=etag(version)
    )


def directory_view(entry: directory_pb2.Directory, version: int) -> directory_pb2.Directory:
    """Return an entry of the catalogue with its etag."""
    view = directory_pb2.Directory()
    view.CopyFrom(entry)
    view.etag = etag(version)
    return view
