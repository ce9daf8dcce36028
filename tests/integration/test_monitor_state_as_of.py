"""What GetStateAsOf explains is what GetJob and GetSubmission say, and only staff may ask."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from directorybolt.intake.v1 import jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.monitor.v1 import state_as_of_pb2 as pb
from directorybolt.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub

from services.domain import errors
from services.monitor.state_as_of import StateAsOf
from services.monitor.state_as_of_steps import text_of
from services.runtime.client import open_channel, peer_errors
from services.runtime.clock import SystemClock
from services.runtime.tokens import TokenSealer
from tests.doubles.random_history import FOLDER, happen, recorded
from tests.fix_intake import TOKEN_KEY, intake, services_template
from tests.fix_monitor_service import (
    SERVICE_KEY,
    monitor,
    monitor_template,
    postgres_cluster,
    sqs_environment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from tests.fix_intake import Intake
    from tests.fix_monitor_service import Monitor

__all__ = [
    "intake",
    "monitor",
    "monitor_template",
    "postgres_cluster",
    "services_template",
    "sqs_environment",
]

WAYS = sorted(path.stem.removeprefix("job_") for path in FOLDER.glob("job_*.json"))


def members(state: pb.ExplainedState) -> Mapping[str, str]:
    """Return what a state says of its members."""
    return {each.field: each.value for each in state.fields}


def moment(message: Any, field: str) -> str:
    """Return an instant of an answer in words; empty when it is absent."""
    stamp: Timestamp = getattr(message, field)
    return text_of(stamp.ToDatetime(tzinfo=UTC)) if message.HasField(field) else ""


def number(text: str | None) -> int:
    """Return a number of a state; what says nothing is 0."""
    return int(text or 0)


@pytest.mark.parametrize("way", WAYS)
async def test_the_explained_state_is_the_one_that_customers_see(intake: Intake, way: str) -> None:
    job, submission = (recorded(FOLDER / f"{each}_{way}.json") for each in ("job", "submission"))
    await happen(intake.store, [job[0], *submission, *job[1:]])
    owner = f"customers/{job[0].tenant}"
    explaining = StateAsOf(intake.store, TokenSealer(TOKEN_KEY.encode(), SystemClock()))

    answer = await explaining.explain(
        pb.GetStateAsOfRequest(name=f"{owner}/jobs/{job[0].stream_id}", show_submissions=True)
    )

    name = f"{owner}/jobs/{job[0].stream_id}"
    seen = (await intake.staff.ask("GetJob", jobs_pb2.GetJobRequest(name=name))).job
    told = members(answer.state)
    assert told["state"] == job_pb2.JobState.Name(seen.state)
    assert told["priority"] == job_pb2.Priority.Name(seen.priority)
    assert told["package"] == job_pb2.Package.Name(seen.package)
    assert number(told.get("profile_version")) == seen.profile_version
    assert (told["created_at"], told.get("ended_at", "")) == (
        moment(seen, "create_time"),
        moment(seen, "end_time"),
    )

    [explained] = answer.submissions
    name = f"{owner}/submissions/{submission[0].stream_id}"
    found = (await intake.staff.ask("GetSubmission", jobs_pb2.GetSubmissionRequest(name=name))).submission
    told = members(explained)
    assert told["state"] == job_pb2.SubmissionState.Name(found.state)
    assert told.get("error_class", "ERROR_CLASS_UNSPECIFIED") == job_pb2.ErrorClass.Name(found.error_class)
    assert told.get("worker_id", "") == found.worker
    assert [number(told.get(each)) for each in ("attempt", "attempts_max", "generation")] == [
        found.attempt,
        found.attempts_max,
        found.generation,
    ]
    assert (told.get("due_at", ""), told["changed_at"]) == (
        moment(found, "due_time"),
        moment(found, "update_time"),
    )
    assert told.get("proofs", "") == ", ".join(each.rpartition("/")[2] for each in found.proofs)
    assert told["jobs"] == ", ".join(each.rpartition("/")[2] for each in found.jobs)


async def test_the_monitor_tells_staff_and_nobody_else(monitor: Monitor) -> None:
    history = recorded(FOLDER / "submission_rescued.json")
    await happen(monitor.store, history)
    request = pb.GetStateAsOfRequest(
        name=f"submissions/{history[0].stream_id}", as_of_position=monitor.token(2)
    )

    answer = await monitor.stub.GetStateAsOf(request)

    assert [each.event_type for each in answer.state.steps] == [each.event.event_type for each in history[:2]]
    with pytest.raises(errors.SubmissionNotFound), peer_errors():
        await monitor.stub.GetStateAsOf(
            pb.GetStateAsOfRequest(name=f"submissions/{history[0].event.event_id}")
        )
    async with open_channel(monitor.address, api_key=SERVICE_KEY, clock=SystemClock()) as channel:
        with pytest.raises(errors.ScopeMissing), peer_errors():
            await MonitorServiceStub(channel).GetStateAsOf(request)
