"""Every method of the contract is in the access table, for exactly those that the contract names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from directorybolt.gateway.v1 import append_service_pb2
from directorybolt.intake.v1 import intake_service_pb2
from directorybolt.monitor.v1 import monitor_service_pb2
from directorybolt.scheduler.v1 import scheduler_service_pb2
from directorybolt.submitter.v1 import submitter_service_pb2

from services.runtime.access import ACCESS, INSIDE, STAFF_ONLY, is_open
from services.runtime.principal import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = (
    intake_service_pb2,
    scheduler_service_pb2,
    submitter_service_pb2,
    monitor_service_pb2,
    append_service_pb2,
)
APPEND = "directorybolt.gateway.v1.AppendService/Append"
PROTO = Path(__file__).resolve().parents[2] / "proto"


def _methods() -> Iterator[tuple[str, str]]:
    for file in FILES:
        services: Any = file.DESCRIPTOR.services_by_name
        for service in services.values():
            for method in service.methods:
                yield f"{service.full_name}/{method.name}", method.input_type.name


def _comment_before(pattern: str) -> str:
    for path in PROTO.glob("directorybolt/*/v1/*.proto"):
        found = re.search(rf"((?:^ *//.*\n)+) *{pattern}\b", path.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    raise AssertionError(f"nothing in the contract reads {pattern}")


def _says_staff_only(method: str, request: str) -> bool:
    name = method.rpartition("/")[2]
    return "Staff only" in _comment_before(rf"rpc {name}") + _comment_before(rf"message {request}")


def test_every_method_is_listed_and_nothing_else() -> None:
    assert {method for method, _ in _methods()} == set(ACCESS)


@pytest.mark.parametrize(("method", "request_name"), list(_methods()))
def test_what_the_contract_calls_staff_only_is_staff_only(method: str, request_name: str) -> None:
    assert (ACCESS[method] == STAFF_ONLY) == _says_staff_only(method, request_name)


@pytest.mark.parametrize("method", ACCESS.keys() - {APPEND})
def test_staff_may_do_everything_but_append(method: str) -> None:
    assert Kind.STAFF in ACCESS[method]


def test_only_services_append() -> None:
    assert ACCESS[APPEND] == {Kind.SERVICE}


def test_a_lease_is_reaped_from_inside_only() -> None:
    assert ACCESS["directorybolt.scheduler.v1.SchedulerService/ReapLease"] == INSIDE


def test_services_hold_no_key_to_customers_things() -> None:
    assert not [method for method, kinds in ACCESS.items() if ".intake." in method and Kind.SERVICE in kinds]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("grpc.health.v1.Health/Check", True),
        ("grpc.health.v1.Health/Watch", True),
        ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", True),
        ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True),
        ("grpc.health.v1.Healthy/Check", False),
        ("directorybolt.monitor.v1.MonitorService/GetHealth", False),
        ("", False),
    ],
)
def test_only_health_and_reflection_are_open(method: str, expected: bool) -> None:  # noqa: FBT001
    assert is_open(method) is expected
