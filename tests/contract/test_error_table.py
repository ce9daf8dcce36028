"""The error table is closed: every error has a row, every reason is one of the contract's."""

from __future__ import annotations

from typing import TypeVar

import grpc
import pytest
from directorybolt.error.v1 import error_reason_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

import eventstore.errors as store
from services.domain import errors as domain
from services.runtime.errors import (
    CODES,
    STATUS_BYTES_MAX,
    STORE_ERRORS,
    VIOLATIONS_MAX,
    InternalFault,
    MethodNotFound,
    as_domain_error,
    domain_error_from,
    status_of,
)

REASONS = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
FAMILIES = {
    domain.DomainError,
    domain.Refusal,
    domain.Contention,
    domain.Trouble,
    domain.NotFound,
}


D = TypeVar("D", bound=Message)
E = TypeVar("E", bound=Exception)


def _subclasses(root: type[E]) -> set[type[E]]:
    """Return ours: not those that a test makes up, nor the store's own that never reach a call."""
    found = {root} | {deep for each in root.__subclasses__() for deep in _subclasses(each)}
    return {each for each in found if each.__module__.startswith(("services.", "eventstore.errors"))}


def _sample(kind: type[domain.DomainError]) -> domain.DomainError:
    if issubclass(kind, domain.InvalidArgument):
        return kind(domain.FieldViolation("name", "must not be empty"))
    return kind(metadata_key="value")


def _over_the_wire(error: domain.DomainError) -> domain.DomainError:
    status = status_of(error)
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return domain_error_from(
        grpc.aio.AioRpcError(CODES[type(error)], grpc.aio.Metadata(), trailers, status.message)
    )


def _detail(status: status_pb2.Status, kind: type[D]) -> D | None:
    found = kind()
    return found if any(each.Unpack(found) for each in status.details) else None


def test_every_domain_error_has_a_row_and_every_row_an_error() -> None:
    assert _subclasses(domain.DomainError) - FAMILIES == set(CODES)


def test_every_error_of_the_store_has_a_row() -> None:
    assert _subclasses(store.EventStoreError) - {store.EventStoreError} == set(STORE_ERRORS)


def test_every_reason_is_one_of_the_contract() -> None:
    assert {each.reason for each in CODES} <= REASONS


def test_every_reason_of_the_contract_is_in_use() -> None:
    assert REASONS - {each.reason for each in CODES} == {"UNSPECIFIED"}


def test_no_two_errors_share_a_reason() -> None:
    assert len({each.reason for each in CODES}) == len(CODES)


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_a_client_gets_the_error_that_the_service_raised(kind: type[domain.DomainError]) -> None:
    sent = _sample(kind)
    received = _over_the_wire(sent)
    assert type(received) is kind
    assert str(received) == str(sent)
    assert dict(received.metadata) == dict(sent.metadata)


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_every_status_has_an_error_info_of_ours(kind: type[domain.DomainError]) -> None:
    info = _detail(status_of(_sample(kind)), error_details_pb2.ErrorInfo)
    assert info is not None
    assert (info.reason, info.domain) == (kind.reason, "directorybolt")


@pytest.mark.parametrize("kind", [k for k in CODES if issubclass(k, domain.Trouble)])
def test_trouble_says_when_to_come_back(kind: type[domain.Trouble]) -> None:
    sent = kind(retry_after_seconds=2.5)
    retry = _detail(status_of(sent), error_details_pb2.RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() == 2_500
    received = _over_the_wire(sent)
    assert isinstance(received, domain.Trouble)
    assert received.retry_after_seconds == 2.5


def test_only_what_may_be_sent_again_blindly_is_unavailable() -> None:
    unavailable = {kind for kind, code in CODES.items() if code is grpc.StatusCode.UNAVAILABLE}
    assert all(issubclass(kind, domain.Trouble) for kind in unavailable)


@given(st.lists(st.tuples(st.text(max_size=400), st.text(max_size=4_000)), max_size=200))
def test_a_status_fits_into_the_trailers_however_much_is_wrong(wrong: list[tuple[str, str]]) -> None:
    violations = [domain.FieldViolation(*each) for each in wrong]
    status = status_of(domain.InvalidArgument(*violations))
    bad = _detail(status, error_details_pb2.BadRequest)
    assert bad is not None
    assert len(bad.field_violations) <= VIOLATIONS_MAX
    assert status.ByteSize() <= STATUS_BYTES_MAX
    assert not wrong or bad.field_violations


def test_an_error_that_nobody_listed_is_a_bug() -> None:
    class Unlisted(domain.Refusal):
        reason = "JOB_NOT_FOUND"

    assert as_domain_error(ValueError("x")) is None
    assert as_domain_error(Unlisted()) is None
    assert as_domain_error(InternalFault()) is None


def test_what_the_store_says_becomes_the_words_of_the_domain() -> None:
    error = as_domain_error(store.StoreUnavailable("connection to postgres://u:pw@h failed"))
    assert type(error) is domain.StoreDown
    assert "pw" not in str(error)
    assert as_domain_error(store.InvalidAppend()) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, domain.Draining),
        (grpc.StatusCode.UNIMPLEMENTED, MethodNotFound),
        (grpc.StatusCode.UNKNOWN, InternalFault),
    ],
)
def test_a_status_that_grpc_made_itself_is_understood(
    code: grpc.StatusCode, kind: type[domain.DomainError]
) -> None:
    bare = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "failed to connect")
    received = domain_error_from(bare)
    assert isinstance(received, kind)
    assert "failed to connect" in str(received)
