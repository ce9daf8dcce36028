"""The one table: domain error → gRPC status, and status → domain error for clients.

Services raise domain errors only; the mask-errors interceptor asks this table what goes on the wire. What
is not in the table is a bug of ours and is masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
from google.rpc import error_details_pb2, status_pb2

import eventstore.errors as store
from services.domain import errors as domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

DOMAIN: Final = "directorybolt"
VIOLATIONS_MAX: Final = 50
STATUS_BYTES_MAX: Final = 7 * 1024
DETAILS_KEY: Final = "grpc-status-details-bin"
_MESSAGE_CHARACTERS_MAX = 1_000
_METADATA_CHARACTERS_MAX = 200


class DeadlinePassed(domain.Trouble):
    """The deadline passed before the answer was ready."""

    reason = "DEADLINE_EXCEEDED"


class MethodNotFound(domain.Refusal):
    """Method not found!"""  # the very words of gRPC

    reason = "METHOD_NOT_FOUND"


class InternalFault(domain.DomainError):
    """A fault of ours."""

    reason = "INTERNAL"


_C = grpc.StatusCode

CODES: Final[Mapping[type[domain.DomainError], grpc.StatusCode]] = {
    domain.InvalidArgument: _C.INVALID_ARGUMENT,
    domain.InvalidProfile: _C.INVALID_ARGUMENT,
    domain.ApiKeyInvalid: _C.UNAUTHENTICATED,
    domain.ScopeMissing: _C.PERMISSION_DENIED,
    domain.CustomerNotFound: _C.NOT_FOUND,
    domain.ProfileNotFound: _C.NOT_FOUND,
    domain.DirectoryNotFound: _C.NOT_FOUND,
    domain.JobNotFound: _C.NOT_FOUND,
    domain.SubmissionNotFound: _C.NOT_FOUND,
    domain.ProofNotFound: _C.NOT_FOUND,
    domain.WorkerNotFound: _C.NOT_FOUND,
    domain.AlertNotFound: _C.NOT_FOUND,
    domain.DeadLetterNotFound: _C.NOT_FOUND,
    domain.StreamNotFound: _C.NOT_FOUND,
    domain.ProjectionNotFound: _C.NOT_FOUND,
    domain.ErasureNotFound: _C.NOT_FOUND,
    domain.RequestIdReused: _C.ALREADY_EXISTS,
    domain.JobFinished: _C.FAILED_PRECONDITION,
    domain.AlertStateForbids: _C.FAILED_PRECONDITION,
    domain.ProjectionStateForbids: _C.FAILED_PRECONDITION,
    domain.CustomerErased: _C.FAILED_PRECONDITION,
    domain.LeaseLost: _C.FAILED_PRECONDITION,
    domain.PositionBeyondEnd: _C.OUT_OF_RANGE,
    domain.EventsDeleted: _C.OUT_OF_RANGE,
    domain.EtagMismatch: _C.ABORTED,
    domain.StreamMovedOn: _C.ABORTED,
    domain.RateLimited: _C.RESOURCE_EXHAUSTED,
    domain.Overloaded: _C.RESOURCE_EXHAUSTED,
    domain.StoreDown: _C.UNAVAILABLE,
    domain.QueueDown: _C.UNAVAILABLE,
    domain.Draining: _C.UNAVAILABLE,
    domain.ReadModelBehind: _C.UNAVAILABLE,
    domain.CustomerBusy: _C.UNAVAILABLE,
    domain.EventUndecodable: _C.DATA_LOSS,
    domain.LogDamaged: _C.DATA_LOSS,
    domain.EventUnknown: _C.FAILED_PRECONDITION,
    DeadlinePassed: _C.DEADLINE_EXCEEDED,
    MethodNotFound: _C.UNIMPLEMENTED,
    InternalFault: _C.INTERNAL,
}

# What the store says in its own words, in the words of the domain. Its texts name streams and hosts, so
# the domain's go on the wire. An append that breaks a limit, or that reuses an id, is a bug of ours; so is
# a process that was not told where the archive is.
STORE_ERRORS: Final[Mapping[type[store.EventStoreError], type[domain.DomainError]]] = {
    store.WrongExpectedVersion: domain.StreamMovedOn,
    store.EventIdReused: InternalFault,
    store.InvalidAppend: InternalFault,
    store.AppendQueueFull: domain.Overloaded,
    store.StoreUnavailable: domain.StoreDown,
    store.LeaseLost: domain.LeaseLost,
    store.KeyDestroyed: domain.CustomerErased,
    store.MasterKeyUnavailable: domain.StoreDown,
    store.MasterKeyMissing: InternalFault,
    store.UnknownEvent: domain.EventUnknown,
    store.LogDamaged: domain.LogDamaged,
    store.PassingTrouble: domain.StoreDown,
    store.HoleInLog: domain.LogDamaged,
    store.EventsArchived: InternalFault,
    store.EventsDeleted: domain.EventsDeleted,
    store.ArchiveDamaged: domain.LogDamaged,
    store.SealConflict: domain.LogDamaged,
    store.SealArchiveUnavailable: domain.StoreDown,
}

_BY_REASON: Final[Mapping[str, type[domain.DomainError]]] = {each.reason: each for each in CODES}

# What a peer's status means when it carries no ErrorInfo: gRPC itself made it, not one of our services.
_BARE_CODES: Final[Mapping[grpc.StatusCode, type[domain.DomainError]]] = {
    _C.UNAVAILABLE: domain.Draining,
    _C.DEADLINE_EXCEEDED: DeadlinePassed,
    _C.UNIMPLEMENTED: MethodNotFound,
}


def as_domain_error(error: BaseException) -> domain.DomainError | None:
    """Return the error in the domain's words; None when it is a bug of ours."""
    if isinstance(error, store.EventStoreError):
        known = (STORE_ERRORS.get(each) for each in type(error).__mro__)
        found = next((each for each in known if each is not None), None)
        error = found() if found is not None else error
    if not isinstance(error, domain.DomainError) or isinstance(error, InternalFault):
        return None
    return error if type(error) in CODES else None


def status_of(error: domain.DomainError) -> status_pb2.Status:
    """Return the status that says it: code, sentence, ErrorInfo, and what else the error knows.

    Shape: at most 50 field violations and 7 KiB, since statuses travel in trailers.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.metadata.items():
        info.metadata[key] = value[:_METADATA_CHARACTERS_MAX]
    code: int = CODES[type(error)].value[0]
    status = status_pb2.Status(code=code, message=str(error)[:_MESSAGE_CHARACTERS_MAX])
    status.details.add().Pack(info)
    if isinstance(error, domain.Trouble):
        _pack(status, _retry_info(error))
    if isinstance(error, domain.RateLimited):
        _pack(status, _quota_failure(error))
    if isinstance(error, domain.InvalidArgument):
        _pack_violations(status, error)
    return status


def domain_error_from(error: grpc.aio.AioRpcError) -> domain.DomainError:
    """Return what a peer's status meant, as the error that the peer raised."""
    status = _status_from(error)
    info = error_details_pb2.ErrorInfo()
    if status is not None and _unpack(status, info) and info.domain == DOMAIN:
        return _rebuild(status, info)
    found = _BARE_CODES.get(error.code(), InternalFault)
    return found(f"{error.code().name}: {error.details() or 'no details'}")


def _rebuild(status: status_pb2.Status, info: error_details_pb2.ErrorInfo) -> domain.DomainError:
    found = _BY_REASON.get(info.reason, InternalFault)
    metadata = dict(info.metadata)
    if issubclass(found, domain.InvalidArgument):
        bad = error_details_pb2.BadRequest()
        _unpack(status, bad)
        return found(*(domain.FieldViolation(each.field, each.description) for each in bad.field_violations))
    rebuilt = found(status.message)
    rebuilt.metadata = metadata
    retry = error_details_pb2.RetryInfo()
    if isinstance(rebuilt, domain.Trouble) and _unpack(status, retry):
        rebuilt.retry_after_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    return rebuilt


def _status_from(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    metadata = error.trailing_metadata()
    for key, value in metadata or ():
        if key == DETAILS_KEY:
            return status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
    return None


def _retry_info(error: domain.Trouble) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(error.retry_after_seconds * 1_000_000_000))
    return info


def _quota_failure(error: domain.RateLimited) -> error_details_pb2.QuotaFailure:
    failure = error_details_pb2.QuotaFailure()
    failure.violations.add(subject=error.metadata.get("subject", ""), description=str(error))
    return failure


def _pack_violations(status: status_pb2.Status, error: domain.InvalidArgument) -> None:
    bad = error_details_pb2.BadRequest()
    room = STATUS_BYTES_MAX - status.ByteSize() - 100
    for each in error.violations[:VIOLATIONS_MAX]:
        bad.field_violations.add(field=each.field[:200], description=each.description[:500])
        if bad.ByteSize() > room:
            del bad.field_violations[-1]
            break
    _pack(status, bad)


def _pack(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _unpack(status: status_pb2.Status, into: Message) -> bool:
    return any(each.Unpack(into) for each in status.details)
