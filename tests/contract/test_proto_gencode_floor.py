"""The generated code runs on the oldest protobuf and grpcio that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = sorted((ROOT / "proto").rglob("*_pb2.py"))
GENERATED_GRPC = sorted((ROOT / "proto").rglob("*_pb2_grpc.py"))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _floor(package: str) -> tuple[int, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in project["project"]["dependencies"]:
        found = re.match(rf"{package}>=([0-9.]+)", requirement)
        if found:
            return _version(found[1])
    raise AssertionError(f"pyproject.toml names no floor for {package}")


def test_there_is_generated_code() -> None:
    assert len(GENERATED) >= 10
    assert len(GENERATED_GRPC) == 5


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_messages_need_no_newer_protobuf_than_the_floor(path: Path) -> None:
    found = re.search(
        r"ValidateProtobufRuntimeVersion\(\s*[^,]+,\s*(\d+),\s*(\d+),\s*(\d+)",
        path.read_text(encoding="utf-8"),
    )
    assert found is not None
    assert tuple(map(int, found.groups())) <= _floor("protobuf")


@pytest.mark.parametrize("path", GENERATED_GRPC, ids=lambda path: path.stem)
def test_services_need_no_newer_grpcio_than_the_floor(path: Path) -> None:
    found = re.search(r"GRPC_GENERATED_VERSION = '([0-9.]+)'", path.read_text(encoding="utf-8"))
    assert found is not None
    assert _version(found[1]) <= _floor("grpcio")
