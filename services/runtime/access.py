"""Which kinds of caller each method is for. A method that is not listed is for nobody.

Health and reflection need no key: probes and tools ask them before they have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.runtime.principal import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTAKE = "directorybolt.intake.v1.IntakeService/"
_SCHEDULER = "directorybolt.scheduler.v1.SchedulerService/"
_SUBMITTER = "directorybolt.submitter.v1.SubmitterService/"
_MONITOR = "directorybolt.monitor.v1.MonitorService/"
_GATEWAY = "directorybolt.gateway.v1.AppendService/"

STAFF_ONLY: Final = frozenset({Kind.STAFF})
OUTSIDE: Final = frozenset({Kind.STAFF, Kind.CUSTOMER})
SERVICES_ONLY: Final = frozenset({Kind.SERVICE})
INSIDE: Final = frozenset({Kind.STAFF, Kind.SERVICE})
EVERYONE: Final = frozenset(Kind)

ACCESS: Final[Mapping[str, frozenset[Kind]]] = {
    _INTAKE + "CreateCustomer": STAFF_ONLY,
    _INTAKE + "GetCustomer": OUTSIDE,
    _INTAKE + "ExportCustomer": OUTSIDE,
    _INTAKE + "EraseCustomer": STAFF_ONLY,
    _INTAKE + "GetErasureCertificate": STAFF_ONLY,
    _INTAKE + "CreateApiKey": STAFF_ONLY,
    _INTAKE + "ListApiKeys": OUTSIDE,
    _INTAKE + "RevokeApiKey": OUTSIDE,
    _INTAKE + "UpsertProfile": OUTSIDE,
    _INTAKE + "GetProfile": OUTSIDE,
    _INTAKE + "ImportDirectories": STAFF_ONLY,
    _INTAKE + "GetDirectory": OUTSIDE,
    _INTAKE + "ListDirectories": OUTSIDE,
    _INTAKE + "CreateJob": OUTSIDE,
    _INTAKE + "GetJob": OUTSIDE,
    _INTAKE + "ListJobs": OUTSIDE,
    _INTAKE + "CancelJob": OUTSIDE,
    _INTAKE + "WatchJob": OUTSIDE,
    _INTAKE + "ListSubmissions": OUTSIDE,
    _INTAKE + "GetSubmission": OUTSIDE,
    _INTAKE + "ListJobEvents": OUTSIDE,
    _INTAKE + "GetProof": OUTSIDE,
    _SCHEDULER + "ListQueues": EVERYONE,
    _SCHEDULER + "ReapLease": INSIDE,
    _SCHEDULER + "ListDeadLetters": STAFF_ONLY,
    _SCHEDULER + "RedriveDeadLetter": STAFF_ONLY,
    _SUBMITTER + "ListWorkers": EVERYONE,
    _SUBMITTER + "GetWorker": EVERYONE,
    _SUBMITTER + "DrainWorker": STAFF_ONLY,
    _MONITOR + "GetHealth": EVERYONE,
    _MONITOR + "ListAlerts": STAFF_ONLY,
    _MONITOR + "AcknowledgeAlert": STAFF_ONLY,
    _MONITOR + "ResolveAlert": STAFF_ONLY,
    _MONITOR + "ListGapRules": EVERYONE,
    _MONITOR + "ReadStream": STAFF_ONLY,
    _MONITOR + "ReadAll": STAFF_ONLY,
    _MONITOR + "GetStateAsOf": STAFF_ONLY,
    _MONITOR + "ListProjections": STAFF_ONLY,
    _MONITOR + "RebuildProjection": STAFF_ONLY,
    _MONITOR + "DiffProjection": STAFF_ONLY,
    _MONITOR + "VerifyLog": STAFF_ONLY,
    _MONITOR + "VerifyWholeLog": STAFF_ONLY,
    _MONITOR + "ExportLog": STAFF_ONLY,
    _GATEWAY + "Append": SERVICES_ONLY,
}

OPEN_PREFIXES: Final = ("grpc.health.v1.Health/", "grpc.reflection.")


def is_open(method: str) -> bool:
    """Tell whether the method needs no key, and counts against no limit."""
    return method.startswith(OPEN_PREFIXES)
