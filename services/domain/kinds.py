"""Short names for the contract's enumerations, as types: protobuf knows them as plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from directorybolt.event.v1 import submission_events_pb2, system_events_pb2
    from directorybolt.job.v1 import job_pb2

    State = job_pb2.SubmissionState.ValueType
    JobState = job_pb2.JobState.ValueType
    Priority = job_pb2.Priority.ValueType
    Package = job_pb2.Package.ValueType
    Purpose = job_pb2.AttemptPurpose.ValueType
    ErrorClass = job_pb2.ErrorClass.ValueType
    HumanCause = submission_events_pb2.HumanCause.ValueType
    DeferReason = submission_events_pb2.DeferReason.ValueType
    Severity = system_events_pb2.Severity.ValueType
else:
    State = JobState = Priority = Package = Purpose = int
    ErrorClass = HumanCause = DeferReason = Severity = int
